import base64
import datetime as dt
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from local_cluster import pki


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture
def authority(tmp_path: Path) -> pki.Authority:
    return pki.Authority(tmp_path / "pki", "ca")


def test_a_client_certificate_names_user_and_groups(authority: pki.Authority) -> None:
    certificate = load(authority.client(pki.node_client("n1")).certificate)
    names = [(attribute.oid, attribute.value) for attribute in certificate.subject]
    assert names == [(NameOID.COMMON_NAME, "system:node:n1"), (NameOID.ORGANIZATION_NAME, "system:nodes")]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate.verify_directly_issued_by(load(authority.pair.certificate))


def test_a_server_certificate_holds_addresses_and_names(authority: pki.Authority) -> None:
    certificate = load(authority.server("api", ["10.96.0.1", "kubernetes.default.svc"]).certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.96.0.1"]
    assert names.get_values_for_type(x509.DNSName) == ["kubernetes.default.svc"]


def test_existing_keys_are_kept(authority: pki.Authority, tmp_path: Path) -> None:
    pair = authority.client(pki.ADMIN)
    before = (pair.certificate.read_bytes(), authority.pair.certificate.read_bytes())
    again = pki.Authority(tmp_path / "pki", "ca")
    assert (again.client(pki.ADMIN).certificate.read_bytes(), again.pair.certificate.read_bytes()) == before


def test_a_certificate_without_its_key_is_issued_again(authority: pki.Authority) -> None:
    pair = authority.client(pki.ADMIN)
    before = pair.certificate.read_bytes()
    pair.key.unlink()
    assert authority.client(pki.ADMIN).certificate.read_bytes() != before


def test_certificates_hold_for_years_and_tolerate_a_clock_that_is_set_back(authority: pki.Authority) -> None:
    certificate = load(authority.client(pki.ADMIN).certificate)
    now = dt.datetime.now(dt.UTC)
    assert certificate.not_valid_before_utc < now - dt.timedelta(minutes=30)
    assert certificate.not_valid_after_utc > now + dt.timedelta(days=3000)


def test_private_files_are_readable_by_their_owner_only(authority: pki.Authority, tmp_path: Path) -> None:
    client = authority.client(pki.ADMIN)
    service_account = pki.service_account_keys(tmp_path / "pki")
    kubeconfig = tmp_path / "kubeconfig"
    pki.write_kubeconfig(kubeconfig, server="https://x", authority=authority.pair.certificate, client=client, name="t1")
    for path in (authority.pair.key, client.key, service_account.key, kubeconfig):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_a_kubeconfig_embeds_the_certificates(authority: pki.Authority, tmp_path: Path) -> None:
    client = authority.client(pki.ADMIN)
    path = tmp_path / "kubeconfig"
    pki.write_kubeconfig(
        path, server="https://127.0.0.1:1", authority=authority.pair.certificate, client=client, name="t1"
    )
    config = yaml.safe_load(path.read_text())
    assert config["current-context"] == "t1"
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"
    assert base64.b64decode(config["users"][0]["user"]["client-key-data"]) == client.key.read_bytes()
