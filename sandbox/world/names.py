"""Invented companies and people. Company domains end in .example, which nobody can own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_FIRST = _words(
    "Ada Amir Anna Aoife Bela Bruno Carla Chen Clara Dario Dina Elif Emil Erik Esra Eva Farah Felix Fiona Gita "
    "Hana Hugo Ida Igor Ines Ivan Jana Jonas Jorge Julia Kaito Kamal Karin Keiko Lars Leila Lena Liam Lina Luca "
    "Maja Marco Maria Mateo Mei Milan Mina Nadia Nils Nina Noor Olga Omar Oscar Paula Pavel Petra Priya Rafael "
    "Rana Rita Robin Rosa Ruth Sami Sara Selim Sofia Sven Tara Tomas Uma Vera Viktor Wanda Yara Yuki Zara Zoe "
    "Zoran"
)
_LAST = _words(
    "Abara Adler Almeida Andersen Aydin Baker Barros Bauer Becker Berg Bianchi Blum Bose Braun Castro Chandra "
    "Clarke Cohen Costa Cruz Dahl Demir Diaz Dubois Duarte Eriksen Falk Farkas Ferrari Fischer Fontaine Fuchs "
    "Garcia Gomez Graf Gupta Haas Hansen Hara Hoffmann Horvat Hughes Ito Ivanova Jansen Jensen Kaplan Kato Keller "
    "Khan Kim Klein Koch Kovac Kumar Lang Larsen Laurent Lehmann Lewis Lima Lopez Maier Marin Martin Mendes Meyer "
    "Mori Moreau Nagy Nair Novak Okafor Olsen Ortiz Otto Park Patel Pereira Petrov Pinto Popescu Quist Rao Reis "
    "Ricci Rossi Roth Roy Sala Sato Schmid Silva Simon Singh Soto Stein Suzuki Tanaka Toth Turner Ueda Vargas "
    "Vidal Vogel Wagner Walsh Weber Weiss Winter Wolf Wong Yamada Yilmaz Young Zeman Ziegler"
)
_COMPANY_FIRST = _words(
    "Alder Amber Anchor Arbor Ashgrove Aurora Basalt Beacon Birch Bluewater Bramble Bridge Bright Canyon Cedar "
    "Cinder Clearwater Cobalt Copper Coral Crest Dawn Delta Drift Eastgate Elm Ember Falcon Fern Field Flint "
    "Forge Foxglove Garnet Glacier Granite Greenhill Grove Harbor Hazel Heather Heron Highland Hollow Indigo Iron "
    "Ivory Juniper Kestrel Lagoon Lantern Larch Lark Laurel Linden Lumen Maple Marble Meadow Mesa Mill Mistral "
    "Moss Northgate Oak Ochre Onyx Opal Orchard Otter Pebble Pine Plover Prairie Quarry Quartz Quill Raven Reed "
    "Ridge River Rowan Saffron Sage Sandstone Sierra Silver Slate Sparrow Spruce Summit Swift Tamarack Terra "
    "Thistle Timber Topaz Tundra Umber Valley Vista Walnut Westwind Willow Wren Yarrow Zephyr"
)
_COMPANY_LAST = _words(
    "Analytics Architects Automation Bakeries Capital Care Clinics Cloud Components Consulting Courier Creative "
    "Data Dental Design Dynamics Education Electric Energy Engineering Estates Events Farms Finance Foods Freight "
    "Goods Health Home Hotels Imaging Industries Insurance Interiors Labs Legal Logistics Machines Marine Media "
    "Metals Mobility Motors Networks Optics Outdoor Packaging Paper Pharma Plastics Power Press Properties "
    "Research Retail Robotics Security Software Solar Sports Staffing Studios Supply Systems Textiles Tools "
    "Travel Ventures Works"
)
_LEGAL_FORMS = ("", "", "", " Ltd", " Inc", " GmbH", " LLC", " BV", " Co")

FREE_MAIL = ("gmail.com", "gmail.com", "gmail.com", "outlook.com", "yahoo.com", "hotmail.com", "icloud.com")
BOOKKEEPERS = ("ledgerhands.example", "countinghouse.example", "tidybooks.example")

INDUSTRIES = _words("IT TELECOM MANUFACTURING BANKING CONSULTING FINANCE DELIVERY ENTERTAINMENT OTHER")


def company(rng: np.random.Generator, number: int) -> tuple[str, str]:
    """The name and the domain of the `number`-th company; domains never repeat, names hardly ever do."""
    first = _COMPANY_FIRST[int(rng.integers(len(_COMPANY_FIRST)))]
    last = _COMPANY_LAST[int(rng.integers(len(_COMPANY_LAST)))]
    form = _LEGAL_FORMS[int(rng.integers(len(_LEGAL_FORMS)))]
    return f"{first} {last}{form}", f"{first.lower()}-{last.lower()}-{number}.example"


def person(rng: np.random.Generator) -> tuple[str, str]:
    """A first and a last name."""
    return _FIRST[int(rng.integers(len(_FIRST)))], _LAST[int(rng.integers(len(_LAST)))]


def address(first: str, last: str, domain: str, number: int) -> str:
    """A person's address; at free-mail providers the number makes it unlike everybody else's."""
    if domain.endswith(".example"):
        return f"{first.lower()}.{last.lower()}@{domain}"
    return f"{first.lower()}.{last.lower()}{number}@{domain}"


def in_another_case(email: str) -> str:
    """The address as some people type it."""
    local, _, domain = email.partition("@")
    return ".".join(part.capitalize() for part in local.split(".")) + "@" + domain.capitalize()


def plus_addressed(email: str, tag: str) -> str:
    """The address with a tag, which reaches the same inbox."""
    local, _, domain = email.partition("@")
    return f"{local}+{tag}@{domain}"
