import pytest

from camera_api.urls import CREDENTIAL_PARAMETERS, credential_rules, url_rules


def test_messages_say_what_is_allowed_and_give_an_example() -> None:
    rules = url_rules(("rtsp", "rtsps"), "rtsp://192.0.2.10/main")["x-kubernetes-validations"]
    text = " ".join(rule["message"] for rule in rules)
    assert "starts with rtsp:// or rtsps://" in text
    assert "such as rtsp://192.0.2.10/main" in text
    assert "between 1 and 65535" in text


def test_both_ways_to_put_a_password_into_a_url_lead_to_the_secret() -> None:
    rules = credential_rules("url", "spec.credentialsSecretRef")
    assert all(rule["message"].endswith("name it in spec.credentialsSecretRef") for rule in rules)
    assert all(rule["fieldPath"] == ".url" for rule in rules)


@pytest.mark.parametrize("name", ["user", "username", "usr", "password", "passwd", "pwd", "pass"])
def test_usual_names_of_credentials_are_refused_and_listed(name: str) -> None:
    assert name in CREDENTIAL_PARAMETERS
    assert any(name in rule["message"] and name in rule["rule"] for rule in credential_rules("url", "secretRef"))
