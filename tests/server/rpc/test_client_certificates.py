"""Client certificates: required where the authorities are set, and identities that the tokens file may name."""

import hashlib
import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from forwardpass import Client
from forwardpass.errors import PermissionDeniedError, UnauthenticatedError, UnavailableError
from forwardpass_server.rpc.context import certificate_identities, identities_of

from tests.support.certificates import Authority, Certificate, self_signed
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.one_process("engine grpcio serves in one process, and engine native has no TLS")

LINEAR, HIDDEN = "article-linear", "article-1-hidden"
SECRET = "a-token"  # noqa: S105 - of a server of this test


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that the server knows."""
    return Authority(tmp_path_factory.mktemp("certificates") / "authority")


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The flags for TLS of the server itself."""
    certificate, key = self_signed(tmp_path_factory.mktemp("own"))
    return [f"--tls-certificate={certificate}", f"--tls-key={key}"]


@pytest.fixture(scope="module")
def root(flags: list[str]) -> bytes:
    """What clients trust."""
    return Path(flags[0].partition("=")[2]).read_bytes()


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, flags: list[str]
) -> Iterator[ServerProcess]:
    """A server on grpcio that needs client certificates, and names some in its tokens file."""
    folder = tmp_path_factory.mktemp("secured")
    tokens = folder / "tokens"
    tokens.write_text(
        "spiffe://bank/reporting predict,read networks=article-lin*\n"
        "dns:batch.bank predict name=batch\n"
        "cn:plain predict\n"
        f"{hashlib.sha256(SECRET.encode()).hexdigest()} predict name=by-token\n"
    )
    tokens.chmod(0o600)
    more = [f"--tokens-file={tokens}", f"--tls-client-ca={authority.path}", "--rest-listen=localhost:0"]
    with ServerProcess(folder, "--engine", "grpcio", "--listen", "localhost:0", *flags, *more) as server:
        yield server
        assert server.stop() == 0


def connect(server: ServerProcess, root: bytes, own: Certificate | None, **options: Any) -> Client:
    credentials = grpc.ssl_channel_credentials(root, *((own.key, own.certificate) if own else ()))
    return Client(server.address, tls=credentials, timeout=60, retries=False, **options)


def test_a_certificate_is_what_its_line_says(secured: ServerProcess, authority: Authority, root: bytes) -> None:
    reporting = authority.issue("anything", "URI:spiffe://bank/reporting,DNS:other.bank")
    with connect(secured, root, reporting) as client:
        assert client.predict(LINEAR, [1.0, 2.0]).outputs
        assert [network.name for network in client.networks()] == [LINEAR]
        with pytest.raises(PermissionDeniedError, match="spiffe://bank/reporting does not allow"):
            client.predict(HIDDEN, [1.0, 2.0])
    for certificate in (authority.issue("x", "DNS:batch.bank"), authority.issue("plain")):
        with connect(secured, root, certificate) as client:
            assert client.predict(HIDDEN, [1.0, 2.0]).outputs
            with pytest.raises(PermissionDeniedError):
                [*client.networks()]


def test_a_certificate_with_another_name_is_nobody(secured: ServerProcess, authority: Authority, root: bytes) -> None:
    for certificate in (
        authority.issue("nobody", "DNS:spiffe://bank/reporting"),
        authority.issue("nobody", "URI:spiffe://bank/reporting/more"),
        authority.issue("plain", "DNS:not.plain"),  # with an extension the common name does not count
        authority.issue("batch.bank"),
    ):
        says = "let the tokens file name the certificate"
        with connect(secured, root, certificate) as client, pytest.raises(UnauthenticatedError, match=says):
            client.predict(LINEAR, [1.0, 2.0])
    with connect(secured, root, authority.issue("nobody"), token=SECRET) as client:
        assert client.predict(LINEAR, [1.0, 2.0]).outputs, "a token counts too"
    with (
        connect(secured, root, authority.issue("plain"), token="wr" + SECRET) as client,
        pytest.raises(UnauthenticatedError),
    ):
        client.predict(LINEAR, [1.0, 2.0])


def test_without_a_certificate_of_the_authority_there_is_no_connection(
    secured: ServerProcess, tmp_path: Path, root: bytes
) -> None:
    for certificate in (None, Authority(tmp_path / "other").issue("plain", "URI:spiffe://bank/reporting")):
        with connect(secured, root, certificate, token=SECRET) as client, pytest.raises(UnavailableError):
            client.predict(LINEAR, [1.0, 2.0])


def test_http_callers_are_who_their_certificates_say(
    secured: ServerProcess, authority: Authority, flags: list[str], tmp_path: Path
) -> None:
    host, _, port = secured.rest.removeprefix("https://").rpartition(":")

    def infer(certificate: Certificate | None, model: str = LINEAR, **headers: str) -> int:
        context = ssl.create_default_context(cafile=flags[0].partition("=")[2])
        if certificate is not None:
            (tmp_path / "own.pem").write_bytes(certificate.key + certificate.certificate)
            context.load_cert_chain(tmp_path / "own.pem")
        body = json.dumps({"inputs": [{"name": "inputs", "shape": [1, 2], "datatype": "FP64", "data": [2, 3]}]})
        with closing(http.client.HTTPSConnection(host, int(port), context=context, timeout=60)) as connection:
            connection.request("POST", f"/v2/models/{model}/infer", body, headers)
            return connection.getresponse().status

    with pytest.raises((ssl.SSLError, ConnectionError)):
        infer(None, authorization=f"Bearer {SECRET}")
    reporting = authority.issue("plain", "URI:spiffe://bank/reporting,DNS:other.bank")
    assert infer(reporting) == infer(authority.issue("plain"), HIDDEN) == 200
    assert infer(reporting, HIDDEN) == 403, "the line of the certificate allows other networks"
    nobody = authority.issue("plain", "DNS:spiffe://bank/reporting")
    assert infer(nobody) == 401
    assert infer(nobody, authorization=f"Bearer {SECRET}") == 200, "a token counts too"
    assert infer(reporting, authorization=f"Bearer wr{SECRET}") == 401, "a token is judged alone"


def test_settings_that_lack_something_end_the_start(tmp_path: Path, authority: Authority, flags: list[str]) -> None:
    tokens, wrong = tmp_path / "tokens", tmp_path / "wrong.pem"
    tokens.write_text("spiffe://bank/reporting predict\n")
    tokens.chmod(0o600)
    wrong.write_text("no certificate")
    for given, sentence in (
        ([f"--tls-client-ca={authority.path}"], "set tls_certificate and tls_key too"),
        ([*flags, f"--tls-client-ca={wrong}"], "the file has no certificates in PEM"),
        ([*flags, f"--tls-client-ca={tmp_path}/nowhere"], "a TLS file cannot be read"),
        ([*flags, f"--tokens-file={tokens}"], "set tls_client_ca to the authorities"),
    ):
        folder = tmp_path / sentence.replace(" ", "-")
        folder.mkdir()
        with pytest.raises(AssertionError, match=f"the server did not start: ''(?s:.*){sentence}"):
            ServerProcess(folder, "--listen", "localhost:0", *given)


def test_identities_are_told_apart_by_their_kind() -> None:
    names = {"x509_common_name": [b"plain"], "x509_subject_alternative_name": [b"dns:a", b"a"]}
    assert identities_of({**names, "peer_uri": [b"dns:a"], "peer_dns": [b"a"]}) == ("uri:dns:a", "dns:a")
    assert identities_of({"x509_common_name": [b"uri:dns:a"]}) == ("cn:uri:dns:a",)
    assert identities_of({"transport_security_type": [b"insecure"]}) is None


def test_the_identities_of_a_certificate_are_the_same_over_http() -> None:
    subject = ((("countryName", "CH"),), (("commonName", "plain"),))
    names = (("DNS", "a"), ("IP Address", "192.0.2.1"), ("URI", "dns:a"))
    assert certificate_identities({"subject": subject, "subjectAltName": names}) == ("uri:dns:a", "dns:a")
    assert certificate_identities({"subject": subject, "subjectAltName": names[1:2]}) is None
    assert certificate_identities({"subject": subject}) == ("cn:plain",)
    assert certificate_identities({}) is None
