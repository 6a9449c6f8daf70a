"""What is known about the Asterisk core sounds: voices, licences, sources and checksums."""

from dataclasses import dataclass

VERSION = "1.6.1"
DEBIAN_VERSION = f"{VERSION}-1"
UPSTREAM_URL = "https://downloads.asterisk.org/pub/telephony/sounds/releases"
SAMPLING_RATE = 16000
# G.722 at 64 kbit/s: one byte holds two samples at 16 kHz.
SAMPLES_PER_BYTE = 2

CC_BY_SA = ("CC BY-SA 3.0", "https://creativecommons.org/licenses/by-sa/3.0/")
CC_BY = ("CC BY 3.0", "https://creativecommons.org/licenses/by/3.0/")


@dataclass(frozen=True)
class Voice:
    """One language of the corpus, as its package's copyright file states it.

    Attributes
    ----------
    speaker : str
        Who is heard; becomes `client_id`.
    gender, accent : str
        Common Voice columns.
    credit : str
        The attribution line that the licence asks for.
    licence : tuple of str
        Name and address.
    content_sha256 : str
        `prompts_source.content_digest` of version 1.6.1 (text list and audio).
    text_package_sha256, audio_package_sha256 : str
        Checksums of Debian's packages, version 1.6.1-1.
    """

    speaker: str
    gender: str
    accent: str
    credit: str
    licence: tuple[str, str]
    content_sha256: str
    text_package_sha256: str
    audio_package_sha256: str


_ALLISON = (
    "Recorded by Allison Smith (http://www.theivrvoice.com), copyright 2003-2010; funded by Digium, Inc."
)
FEMALE, MALE = "female_feminine", "male_masculine"

VOICES = {
    "en": Voice(
        "allison_en",
        FEMALE,
        "United States English",
        _ALLISON,
        CC_BY_SA,
        "f32a04825b08f04eb777d404ea92bd00ab1943a03d55850139d37d562a924490",
        "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
        "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
    ),
    "es": Voice(
        "allison_es",
        FEMALE,
        "México",
        _ALLISON,
        CC_BY_SA,
        "6e7e4828e341fbeac34f9f788169b78ce8ac91e8e81d014e656a83139cd48ed3",
        "9afdab7f559f036649fb406e625899306ca1004df8ebe39c30bfbd5912d66f74",
        "e4e3b4281057d3b81b779298fd6be705f57411513955c518eed1bcaabbd615b8",
    ),
    "fr": Voice(
        "june_fr",
        FEMALE,
        "Français du Canada",
        "Recorded by June Wallack (http://www.junewallack.com), copyright 2006-2008; translated by "
        "Clod Patry, Kristopher Lalletti and June Wallack; funded by Digium, Inc., Unlimitel and "
        "BGM Informatique.",
        CC_BY_SA,
        "9401c8ccf0f0e08ef49a646f984cc0fe057a7359880f8ce55174cc80ce607cf2",
        "04c82c78c570c43a7136cbc5e2488d0c470b775468dff9fbce4a131b18cf1056",
        "7add61d5e42279ecff1bbdf842a5a946ac3644fac9a0fe44384731aa7270c8e0",
    ),
    "it": Voice(
        "carlo_it",
        MALE,
        "",
        "Recorded by Carlo Flora (http://www.carloflora.com, http://www.segreterietelefoniche.it), "
        "copyright 2012; translated by Silvia Petrin from the English text distributed by http://www.digium.com.",
        CC_BY,
        "2eff6bfea15f4efc8eb80ec09bcc2c86057c8020e5f6d2f2054b6a47fd282cae",
        "3884d9457e12f21caa018c18f0d587df5d53ebea14b673d8453a134c5941ab3b",
        "46b4cf7afc508a5fcfc051b7ea233251c0d195dd4ef83cc4b7facb4c6429b016",
    ),
    "ru": Voice(
        "ivrvoice_ru",
        FEMALE,
        "",
        "Provided by Maxim Topal (http://www.ivrvoice.ru), copyright 2010.",
        CC_BY,
        "c250438aad8847c2c2c7ec8f2b827abd2a09ddf945d2274782bb8ead04205702",
        "28a61616bb0cd3345a7ea532dec4df9f071e5d0fa9f8c1a563ea9669002f39ab",
        "673b4238a6b8269960f055d868c6a11083f7a0d00979167cb01554046b48ed9b",
    ),
}
LANGUAGES = tuple(VOICES)
