"""The code on the documentation page, as a reader would copy it."""

from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.request import ProxyHandler, Request, build_opener

# Loopback is nobody's business: no proxy of the machine's.
OPENER = build_opener(ProxyHandler({}))


@dataclass
class Sample:
    topic: str
    tab: str
    file: str
    text: str = ""


class Reader(HTMLParser):
    """Collects the text of every `<pre data-sample=…>`."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.samples = []
        self.open = None

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "pre" and "data-sample" in attributes:
            self.open = Sample(attributes["data-sample"], attributes["data-tab"], attributes["data-file"])

    def handle_data(self, data):
        if self.open:
            self.open.text += data

    def handle_endtag(self, tag):
        if tag == "pre" and self.open:
            self.samples.append(self.open)
            self.open = None


def samples(console, language):
    """`{(topic, tab): Sample}` of the page in one language."""
    request = Request(f"{console}/docs?lang={language}")
    with OPENER.open(request, timeout=10) as answer:
        reader = Reader()
        reader.feed(answer.read().decode())
    found = {(sample.topic, sample.tab): sample for sample in reader.samples}
    assert len(found) == len(reader.samples), "a sample stands on the page twice"
    return found
