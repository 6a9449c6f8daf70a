"""What is known to be wrong in the prompts' text lists, and the only reading that each case allows."""

import re

# Names that hold tones, noises or silence in every language. The lists mostly say so in brackets, but the
# Italian one describes some of them in plain words.
NOT_SPEECH = frozenset(
    {
        "ascending-2tone",
        "beep",
        "beeperr",
        "confbridge-join",
        "confbridge-leave",
        "descending-2tone",
        "tt-monkeys",
    }
)

# (language, listed name, listed text) -> the file with this text. The Spanish list calls ten "digits/0".
RENAMED = {("es", "digits/0", "diez"): "digits/10"}

# Accents that the Italian list lost as "?". Alone between words it can only be the verb "è"; a "?" that
# ends a sentence is a question mark and stays.
LOST_ACCENTS = {
    "it": (
        (re.compile(r"\bsar\?"), "sarà"),
        (re.compile(r"\bpu\?"), "può"),
        (re.compile(r"\bcos\?"), "così"),
        (re.compile(r"\bpi\?"), "più"),
        (re.compile(r"(?<=\w )\?(?= \w)"), "è"),
    )
}


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


# Words that the lists spell with and without accents, though the same is said. Only those that mean nothing
# else without the accent ("esta" and "está", "a" and "à" are left alone), and a few plain typing errors; the
# Russian word ends in two Latin letters.
WORDS = {
    "es": _pairs(
        """
        atras=atrás autenticacion=autenticación busqueda=búsqueda codigo=código comprendi=comprendí
        conexion=conexión configuracion=configuración contrasena=contraseña contrasenas=contraseñas
        contrasenia=contraseña decimo=décimo demostracion=demostración despues=después
        dieciseis=dieciséis dolar=dólar dolares=dólares duodecimo=duodécimo duracion=duración
        escucharas=escucharás estandar=estándar exclamacion=exclamación extension=extensión
        grabacion=grabación guiare=guiaré informacion=información ingese=ingrese
        introduccion=introducción introdusca=introduzca invalida=inválida invalido=inválido japon=japón
        lider=líder linea=línea manana=mañana maria=maría mas=más mesaje=mensaje miercoles=miércoles
        millon=millón minimos=mínimos numerico=numérico numero=número opcion=opción proximo=próximo
        rapidamente=rápidamente reproduccion=reproducción sabado=sábado septimo=séptimo sera=será
        telefonico=telefónico telefono=teléfono trigesimo=trigésimo ultimo=último undecimo=undécimo
        unica=única unira=unirá uniran=unirán util=útil vacias=vacías valido=válido veintidos=veintidós
        veintiseis=veintiséis veintitres=veintitrés victor=víctor vigesimo=vigésimo
        """
    ),
    "fr": _pairs(
        """
        boite=boîte desole=désolé desolé=désolé déverouillée=déverrouillée dévérouillée=déverrouillée
        ecouter=écouter etes=êtes etre=être numero=numéro premieres=premières presentement=présentement
        problemes=problèmes quebec=québec reessayer=réessayer telephone=téléphone telephoner=téléphoner
        verouillée=verrouillée vérouillée=verrouillée
        """
    ),
    "ru": {"первoe": "первое"},
}


def repair(text: str, language: str) -> str:
    """Return a listed text with lost accents and misspelt words restored where only one reading is possible.

    Parameters
    ----------
    text : str
        As listed, in Unicode NFC.
    language : str
        Selects the tables.

    Returns
    -------
    str
        The repaired text; a word keeps its capital.
    """
    for pattern, word in LOST_ACCENTS.get(language, ()):
        text = pattern.sub(word, text)
    words = WORDS.get(language, {})

    def mend(match: re.Match[str]) -> str:
        word = words.get(match[0].lower(), match[0])
        return word[0].upper() + word[1:] if match[0][0].isupper() else word

    return re.sub(r"\w+", mend, text) if words else text
