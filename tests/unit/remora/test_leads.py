from remora.leads import leads_of


def test_features_and_segments_are_named_with_their_shares():
    details = {
        "causes": [{"feature": f"f{number}", "share": 0.4, "influence": 0.1} for number in range(5)],
        "segments": [{"segment": "carrier=UA", "share": 0.4, "rows": 0.125}],
        "changed_at": "2013-03-08T00:00:00Z",
    }
    assert leads_of(details) == [
        *(f"f{number} moved: likely 40 % of the score's movement" for number in range(3)),
        "carrier=UA: 40 % of the loss from 12 % of the rows",
    ]


def test_a_finding_that_ranks_nothing_gives_no_lead():
    assert leads_of({}) == []
