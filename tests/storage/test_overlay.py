from orchestr8.storage.overlay import OverlayMount

PLAIN = OverlayMount(("/a", "/b"), "/c/upper", "/c/work")
ODD = OverlayMount(("/x:y,z", "/p\\q"), "/u,v\\w:1/upper", "/u,v\\w:1/work")


def test_layers_are_listed_from_top_to_bottom() -> None:
    assert PLAIN.data() == "lowerdir=/a:/b,upperdir=/c/upper,workdir=/c/work"
    assert PLAIN.parameters() == [
        ("lowerdir+", "/a"),
        ("lowerdir+", "/b"),
        ("upperdir", "/c/upper"),
        ("workdir", "/c/work"),
    ]


def test_without_an_upper_layer_it_is_read_only() -> None:
    assert OverlayMount(("/a", "/b")).data() == "lowerdir=/a:/b"


def test_odd_names_are_escaped_as_each_of_the_kernels_parsers_wants_it() -> None:
    assert ODD.data() == r"lowerdir=/x\:y\,z:/p\\q,upperdir=/u\,v\\w:1/upper,workdir=/u\,v\\w:1/work"
    assert ODD.parameters() == [
        ("lowerdir+", "/x:y,z"),
        ("lowerdir+", "/p\\q"),
        ("upperdir", "/u,v\\\\w:1/upper"),
        ("workdir", "/u,v\\\\w:1/work"),
    ]
