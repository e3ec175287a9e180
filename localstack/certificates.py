"""TLS certificates for a server of this machine: those of an authority and of the server, which the authority signs."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

DAYS = 30
AUTHORITY = "runnable-jobs authority"


def make(authority: Path, server: Path, server_key: Path, host: str) -> None:
    """Write the authority's certificate, and the certificate and key of a server whose name or IP address is `host`."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority.write_bytes(
        _signed(authority_key, AUTHORITY, authority_key.public_key(), x509.BasicConstraints(ca=True, path_length=0))
    )
    server.write_bytes(_signed(authority_key, host, key.public_key(), x509.SubjectAlternativeName([_host(host)])))
    server_key.touch(mode=0o600)
    server_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _signed(
    authority_key: ec.EllipticCurvePrivateKey,
    name: str,
    key: ec.EllipticCurvePublicKey,
    extension: x509.ExtensionType,
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder(
            issuer_name=_named(AUTHORITY),
            subject_name=_named(name),
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(days=1),
            not_valid_after=now + datetime.timedelta(days=DAYS),
        )
        .add_extension(extension, critical=True)
        .sign(authority_key, SHA256())
        .public_bytes(Encoding.PEM)
    )


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
