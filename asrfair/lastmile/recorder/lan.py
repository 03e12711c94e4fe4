"""Another device in the room: a certificate made for it, a QR code, and a warning of what that opens."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from asrfair.data.wholefile import write_whole
from asrfair.errors import EnvironmentFailedError

if TYPE_CHECKING:
    from asrfair.lastmile.recorder.server import RecordingServer

WARNING = (
    "Warning: every device in this network can now reach this page's port, though without the link none gets past the "
    "first sentence. Recordings travel encrypted. The phone will warn that it does not know the certificate: compare the "
    "fingerprint, then go on. Use a network that you trust, and end with Ctrl-C as soon as you are done."
)
_VALID = dt.timedelta(days=2)


def invite(server: RecordingServer, say: Callable[[str], None]) -> None:
    """Open the page to the local network and show its link as a QR code.

    Raises:
        EnvironmentFailedError: The extra ``record`` is missing, or this machine is in no network.
    """
    address = local_address()
    tls, fingerprint = certificate(address)
    port = server.open_to_network(address, tls)
    link = server.link(f"https://{address}:{port}")
    say(WARNING)
    say(qr_code(link))
    say(f"On the other device (this link works once): {link}")
    say(f"SHA-256 fingerprint of the certificate: {fingerprint}")


def local_address() -> str:
    """Return this machine's address in the local network; nothing is sent to find it.

    Raises:
        EnvironmentFailedError: It has none.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            # A datagram socket only chooses a route when it is connected.
            probe.connect(("192.0.2.1", 9))
            address = str(probe.getsockname()[0])
    except OSError:
        address = ""
    if not address or ipaddress.ip_address(address).is_loopback:
        raise EnvironmentFailedError(
            "this machine is in no local network", remedy="Leave --lan out and record on this machine"
        )
    return address


def certificate(address: str) -> tuple[ssl.SSLContext, str]:
    """Make a key and a certificate for an address, good for two days; return the TLS context and its fingerprint.

    Raises:
        EnvironmentFailedError: The extra ``record`` is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError as error:
        raise _missing() from error
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "asrfair recording page")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # ssl reads keys from files only; the file is gone before anybody connects.
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder) / "both.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_whole(both, secret + made.public_bytes(serialization.Encoding.PEM), private=True, sync=False)
        context.load_cert_chain(both)
    return context, made.fingerprint(hashes.SHA256()).hex(":").upper()


def qr_code(link: str) -> str:
    """Return a QR code for a terminal.

    Raises:
        EnvironmentFailedError: The extra ``record`` is not installed.
    """
    import io

    try:
        import segno
    except ImportError as error:
        raise _missing() from error
    drawn = io.StringIO()
    segno.make(link, error="m", micro=False).terminal(drawn, compact=True)
    return drawn.getvalue()


def _missing() -> EnvironmentFailedError:
    return EnvironmentFailedError(
        "recording on another device needs packages that are not installed",
        remedy="Install them: pip install 'asrfair[record]'",
    )
