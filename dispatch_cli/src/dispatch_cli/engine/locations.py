"""What the location of a source or target says: a path, a file:// URL, or something to fetch over HTTP."""

from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from dispatch_cli.engine.failures import TranscodeError


def is_remote(location: str) -> bool:
    """Whether a location has to be fetched."""
    return location.lower().startswith(("http://", "https://"))


def local_path(location: str) -> Path:
    """The path that a path or file:// URL names. Raises `TranscodeError` `input` for anything else."""
    if not location or "\0" in location:
        raise TranscodeError("input", "a location is a non-empty path or URL without NUL characters")
    if "://" not in location:
        return Path(location)
    url = split_url(location)
    if url.scheme.lower() != "file":
        raise TranscodeError(
            "input", f"{url.scheme}:// is not known here: give a path, file://, http:// or https://"
        )
    if url.netloc not in {"", "localhost"}:
        raise TranscodeError(
            "input", f"{shown(location)} is on another host; write file:///path for this one"
        )
    path = url2pathname(url.path)
    if not path or "\0" in path:
        raise TranscodeError("input", f"{shown(location)} names no file")
    return Path(path)


def shown(location: str) -> str:
    """A location for people to read: of a URL without user, password and query, which may be secrets.

    >>> shown("https://ann:secret@media.example:8443/in/a.mp4?signature=abc")
    'https://media.example:8443/in/a.mp4'
    """
    if "://" not in location:
        return location
    url = split_url(location)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def split_url(text: str) -> SplitResult:
    """The parts of a URL. Raises `TranscodeError` `input` for what is none."""
    try:
        return urlsplit(text)
    except ValueError as error:
        raise TranscodeError("input", f"not a URL: {error}") from None
