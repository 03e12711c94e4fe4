"""The secret of a site: behind the codes for its people, and the seal of its ledger. It never leaves."""

from __future__ import annotations

import hashlib
import secrets

from asrfair.data.wholefile import write_new
from asrfair.errors import InputError
from asrfair.lastmile.settings import Kit

SITE_KEY_FILE = ".site-key"
LEDGER_FILE = "exports.jsonl"
COUNT_FILE = ".releases"


def site_key(kit: Kit) -> bytes:
    """Return the site's key; it is made before the first release.

    Raises:
        InputError: It is damaged, or gone while there were releases: another key would make the site another site.
    """
    path = kit.folder / SITE_KEY_FILE
    if not path.exists():
        if any((kit.folder / name).exists() for name in (LEDGER_FILE, COUNT_FILE)):
            raise InputError(
                "the site's key is missing, and there were releases under it: with a new one the same people would "
                "count as those of another site",
                file=path,
                remedy="Copy the file .site-key from where this kit came from, or from a backup",
            )
        write_new(path, secrets.token_hex(32) + "\n", private=True)
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise InputError("the site's key cannot be read", file=path, remedy="Restore it from a backup") from error
    if len(key) != 32:
        raise InputError("the site's key is damaged", file=path, remedy="Restore it from a backup")
    return key


def pseudonym(key: bytes, name: str) -> str:
    """Return a code that nobody without the site's key can trace back: keyed BLAKE2b, 64 bits."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), key=key, digest_size=8).hexdigest()
