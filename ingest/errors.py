"""What can go wrong while a silo is read. Every message is a sentence for a person and carries no secret."""

from __future__ import annotations


class IngestError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigurationError(IngestError):
    """A setting is missing or wrong. The sentence names the setting and how to give it."""


class SourceError(IngestError):
    """A source cannot be extracted now; what was loaded before stays as it is."""


class VendorRefusalError(SourceError):
    """The vendor understood the request and refused it; asking again changes nothing."""


class CredentialsError(VendorRefusalError):
    """The vendor does not accept who we are, or what the key may do; a setting has to change."""


class VendorUnavailableError(SourceError):
    """The vendor did not give a usable answer however often it was asked."""


class ImplausibleAnswerError(SourceError):
    """An answer came, but believing it would damage what is already loaded: far too short, or against the total."""


class UntypedFileError(SourceError):
    """A columnar file as a whole cannot be given the types of its table; the rest of the source can."""


class LoadError(SourceError):
    """The warehouse does not hold what was sent to it."""
