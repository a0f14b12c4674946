"""Keys and certificates of an instance: authorities, and one certificate per component.

etcd has an authority of its own, so that a client certificate of Kubernetes opens no door to the database; so has the
front proxy, whose client may act as anybody towards aggregated API servers.
"""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# A local cluster is thrown away long before, and nobody should meet an expired certificate in it.
_LIFETIME = dt.timedelta(days=3650)
# Tolerates a clock that is set back after a start.
_BACKDATED = dt.timedelta(hours=1)


@dataclass(frozen=True)
class KeyPair:
    """Paths of a certificate and its private key, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Client:
    """A user of the API: common name = user name, organizations = groups."""

    file: str
    user: str
    groups: tuple[str, ...] = ()


ADMIN = Client("admin", "local-admin", ("system:masters",))
KUBELET_CLIENT = Client("kubelet-client", "kube-apiserver-kubelet-client", ("system:masters",))
CONTROLLER_MANAGER = Client("controller-manager", "system:kube-controller-manager")
SCHEDULER = Client("scheduler", "system:kube-scheduler")
KUBE_PROXY = Client("kube-proxy", "system:kube-proxy")
COREDNS = Client("coredns", "system:coredns")
FRONT_PROXY = Client("front-proxy-client", "front-proxy-client")


def node_client(node: str) -> Client:
    """The kubelet of a node, as the Node authorizer knows it."""
    return Client("kubelet", f"system:node:{node}", ("system:nodes",))


class Authority:
    """A certificate authority that lives in a folder; existing keys and certificates are kept.

    Args:
        folder: where its files are; created with mode 0700.
        name: common name, and file name of its key pair.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.pair = KeyPair(folder / f"{name}.crt", folder / f"{name}.key")
        if not (self.pair.certificate.exists() and self.pair.key.exists()):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _builder(self._name, self._name, key.public_key(), is_authority=True)
            _write_private(self.pair.key, _private_pem(key))
            _write(
                self.pair.certificate,
                certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
            )
        loaded = serialization.load_pem_private_key(self.pair.key.read_bytes(), password=None)
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self.pair.key} is not an elliptic-curve key")
        self._key = loaded

    def client(self, client: Client) -> KeyPair:
        """A certificate that authenticates as ``client``."""
        return self._issue(client.file, client.user, client.groups, usage=ExtendedKeyUsageOID.CLIENT_AUTH)

    def server(self, file: str, names: Iterable[str]) -> KeyPair:
        """A certificate for a server reachable under ``names`` (DNS names and IP addresses)."""
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
        return self._issue(file, file, (), usage=ExtendedKeyUsageOID.SERVER_AUTH, alternatives=alternatives)

    def _issue(
        self,
        file: str,
        user: str,
        groups: tuple[str, ...],
        *,
        usage: x509.ObjectIdentifier,
        alternatives: x509.SubjectAlternativeName | None = None,
    ) -> KeyPair:
        pair = KeyPair(self._folder / f"{file}.crt", self._folder / f"{file}.key")
        if pair.certificate.exists() and pair.key.exists():
            return pair
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, user),
                *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups),
            ]
        )
        builder = _builder(subject, self._name, key.public_key(), is_authority=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=False)
        _write_private(pair.key, _private_pem(key))
        _write(pair.certificate, builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return pair


def service_account_keys(folder: Path) -> KeyPair:
    """The key that signs service account tokens, and the public key that verifies them."""
    pair = KeyPair(folder / "service-account.pub", folder / "service-account.key")
    if not (pair.certificate.exists() and pair.key.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        _write_private(pair.key, _private_pem(key))
        _write(pair.certificate, public)
    return pair


def write_kubeconfig(path: Path, *, server: str, authority: Path, client: KeyPair, name: str) -> None:
    """Write a kubeconfig with everything embedded, readable by its owner only; unchanged content is left alone."""
    content = yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": name, "cluster": {"server": server, "certificate-authority-data": _encoded(authority)}}
            ],
            "users": [
                {
                    "name": name,
                    "user": {
                        "client-certificate-data": _encoded(client.certificate),
                        "client-key-data": _encoded(client.key),
                    },
                }
            ],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        },
        sort_keys=False,
    ).encode()
    if not path.exists() or path.read_bytes() != content:
        _write_private(path, content)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, *, is_authority: bool
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _write_private(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)
