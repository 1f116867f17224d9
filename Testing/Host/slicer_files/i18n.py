"""``slicer.i18n``: text as it is; there are no translations here."""


def tr(text: str) -> str:
    return text


def translate(context: str, text: str) -> str:
    return text
