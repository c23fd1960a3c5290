"""The numbers of the emergency services by country: what the screen says where a technician has set none.

Rules
- `ambulance` is the number that reaches an ambulance from any phone there; `police` that of the police.
- In the European Union it is 112, which every phone there reaches and which is answered in several languages.
- A country whose numbers we are not sure of is left out: then a technician sets them, and nobody is told a wrong one.
- Each number is one of the country's emergency numbers in the metadata of libphonenumber; a test proves it.
"""

from typing import NamedTuple


class Numbers(NamedTuple):
    """Whom to call in one country."""

    ambulance: str
    police: str


NUMBERS: dict[str, Numbers] = {
    # the European Union
    "AT": Numbers("112", "133"),
    "BE": Numbers("112", "101"),
    "BG": Numbers("112", "112"),
    "HR": Numbers("112", "192"),
    "CY": Numbers("112", "112"),
    "CZ": Numbers("112", "158"),
    "DK": Numbers("112", "112"),
    "EE": Numbers("112", "112"),
    "FI": Numbers("112", "112"),
    "FR": Numbers("112", "17"),
    "DE": Numbers("112", "110"),
    "GR": Numbers("112", "100"),
    "HU": Numbers("112", "112"),
    "IE": Numbers("112", "112"),
    "IT": Numbers("112", "112"),
    "LV": Numbers("112", "110"),
    "LT": Numbers("112", "112"),
    "LU": Numbers("112", "113"),
    "MT": Numbers("112", "112"),
    "NL": Numbers("112", "112"),
    "PL": Numbers("112", "112"),
    "PT": Numbers("112", "112"),
    "RO": Numbers("112", "112"),
    "SK": Numbers("112", "158"),
    "SI": Numbers("112", "113"),
    "ES": Numbers("112", "112"),
    "SE": Numbers("112", "112"),
    # elsewhere in Europe
    "GB": Numbers("999", "999"),
    "CH": Numbers("144", "117"),
    "LI": Numbers("144", "117"),
    "NO": Numbers("113", "112"),
    "IS": Numbers("112", "112"),
    "UA": Numbers("103", "102"),
    "MD": Numbers("112", "112"),
    "BA": Numbers("124", "122"),
    "ME": Numbers("124", "122"),
    "MK": Numbers("194", "192"),
    "AL": Numbers("127", "129"),
    "TR": Numbers("112", "112"),
    "GE": Numbers("112", "112"),
    # the Americas
    "US": Numbers("911", "911"),
    "CA": Numbers("911", "911"),
    "MX": Numbers("911", "911"),
    "BR": Numbers("192", "190"),
    "AR": Numbers("107", "911"),
    "CL": Numbers("131", "133"),
    "CO": Numbers("123", "123"),
    "CR": Numbers("911", "911"),
    "PA": Numbers("911", "911"),
    "UY": Numbers("911", "911"),
    "EC": Numbers("911", "911"),
    "DO": Numbers("911", "911"),
    "PR": Numbers("911", "911"),
    # Asia and the Pacific
    "AU": Numbers("000", "000"),
    "NZ": Numbers("111", "111"),
    "IN": Numbers("112", "112"),
    "CN": Numbers("120", "110"),
    "HK": Numbers("999", "999"),
    "MO": Numbers("999", "999"),
    "TW": Numbers("119", "110"),
    "JP": Numbers("119", "110"),
    "KR": Numbers("119", "112"),
    "SG": Numbers("995", "999"),
    "MY": Numbers("999", "999"),
    "TH": Numbers("1669", "191"),
    "VN": Numbers("115", "113"),
    "PH": Numbers("911", "911"),
    "ID": Numbers("119", "110"),
    "BD": Numbers("999", "999"),
    "PK": Numbers("1122", "15"),
    "NP": Numbers("102", "100"),
    # Africa
    "ZA": Numbers("10177", "10111"),
    "EG": Numbers("123", "122"),
    "MA": Numbers("15", "19"),
    "TN": Numbers("190", "197"),
    "DZ": Numbers("14", "17"),
    "KE": Numbers("999", "999"),
    "GH": Numbers("193", "191"),
    "UG": Numbers("999", "999"),
    # the Middle East
    "AE": Numbers("998", "999"),
    "SA": Numbers("997", "999"),
    "QA": Numbers("999", "999"),
    "KW": Numbers("112", "112"),
    "BH": Numbers("999", "999"),
    "OM": Numbers("9999", "9999"),
    "JO": Numbers("911", "911"),
    "LB": Numbers("140", "112"),
    "IL": Numbers("101", "100"),
}
"""Countries by their two letters (ISO 3166)."""
