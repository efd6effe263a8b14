"""The tables of small faults fit the code: trying them takes long, to see that they can be tried does not."""

from tests.mutations.test_mutations import ROOT, listed


def test_every_fault_of_the_tables_applies_once() -> None:
    faults = list(listed())
    assert len(faults) > 200
    unfit = [each.what for each in faults if (ROOT / each.file).read_text().count(each.before) != 1]
    assert unfit == [], "change `before` in tests/mutations as the code was changed"
