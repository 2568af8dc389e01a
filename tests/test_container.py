"""Arrays and facts ↔ one file: what is written is read, and nothing else is."""

import hashlib
import json
import os

import numpy as np
import pytest
from safetensors import safe_open

from skvae.files import ModelFileError
from skvae.files._container import read, write
from skvae.files._layout import BEGIN, MOST_BYTES

RNG = np.random.default_rng(0)
ARRAYS = {
    "a/b": RNG.normal(size=(2, 3)).astype(np.float32),
    "é": np.array(3.5),
    "none": np.empty((0, 3), np.int64),
    "truth": np.array([True, False]),
    "big": np.arange(3, dtype=">i2"),
    "columns": np.asfortranarray(RNG.normal(size=(2, 2))),
    "u": np.array([2**64 - 1], dtype=np.uint64),
}
FACTS = {"b": [1, 2.5, None, True, 'é"[', {"deep": {}}], "a": -0.0}
FEW = {"x": np.array([1.5, -2.0], dtype=np.float32), "yes": np.array([True])}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.skvae"


def with_sum(data):
    """Return the bytes of a file with the sum that they should have."""
    place = 8 + len(BEGIN)
    data = data[:place] + b"0" * 64 + data[place + 64 :]
    total = hashlib.sha256(data).hexdigest().encode()
    return data[:place] + total + data[place + 64 :]


def flipped(data, place):
    """Return bytes with a bit flipped in one of them."""
    changed = bytearray(data)
    changed[place] ^= 1 << int(RNG.integers(8))
    return bytes(changed)


def assert_refused(path, data):
    path.write_bytes(data)
    with pytest.raises(ModelFileError):
        read(path)


def assert_same(arrays, others):
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        other = others[name]
        assert array.dtype.newbyteorder("=") == other.dtype
        np.testing.assert_array_equal(array, other, strict=array.dtype == other.dtype)


def test_read_gives_what_was_written(path):
    write(path, ARRAYS, FACTS)
    arrays, facts = read(path)
    assert_same(ARRAYS, arrays)
    assert facts == FACTS
    assert list(facts) == list(FACTS)
    assert all(
        array.flags.writeable and array.flags.aligned for array in arrays.values()
    )


def test_safetensors_reads_our_files(path):
    write(path, ARRAYS, FACTS)
    with safe_open(path, "np") as file:
        assert_same(ARRAYS, {name: file.get_tensor(name) for name in file.keys()})
        assert json.loads(file.metadata()["facts"]) == FACTS


def test_same_content_gives_same_bytes(path):
    files = []
    for names in (ARRAYS, reversed(ARRAYS)):
        write(path, {name: ARRAYS[name] for name in names}, FACTS)
        files.append(path.read_bytes())
    assert files[0] == files[1]


def test_arrays_begin_at_multiples_of_their_item_size(path):
    write(path, ARRAYS, FACTS)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    del header["__metadata__"]
    for said in header.values():
        begin = 8 + length + said["data_offsets"][0]
        n_bytes = {"F64": 8, "U64": 8, "I64": 8, "F32": 4, "I16": 2, "BOOL": 1}
        assert begin % n_bytes[said["dtype"]] == 0


@pytest.mark.parametrize("value", [np.array([1j]), np.array(["a"]), np.array([None])])
def test_other_types_are_refused(path, value):
    with pytest.raises(TypeError, match="floats, integers or booleans"):
        write(path, {"x": value}, {})


@pytest.mark.parametrize("fact", [np.nan, np.inf])
def test_facts_are_json(path, fact):
    with pytest.raises(ValueError, match="JSON"):
        write(path, {}, {"x": fact})


def test_long_header_is_refused(path):
    with pytest.raises(ValueError, match="Use fewer columns"):
        write(path, {}, {"x": "x" * MOST_BYTES})
    assert os.listdir(path.parent) == []


# Older files


def test_file_keeps_the_permissions_of_the_one_that_it_replaces(path):
    path.touch()
    path.chmod(0o640)
    write(path, FEW, FACTS)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("is_there", [True, False])
def test_older_file_is_named_where_there_is_one(is_there, path, monkeypatch):
    def fail(number):
        raise OSError(5, "No luck")

    monkeypatch.setattr(os, "fsync", fail)
    if is_there:
        path.touch()
    with pytest.raises(OSError, match="No luck") as raised:
        write(path, FEW, FACTS)
    assert ("older file is as it was" in str(raised.value)) is is_there


# Broken files


def test_file_cut_off_at_every_length_is_refused(path):
    write(path, FEW, FACTS)
    data = path.read_bytes()
    for n in range(len(data)):
        assert_refused(path, data[:n])
        if n >= 8 + len(BEGIN) + 64:
            assert_refused(path, with_sum(data[:n]))
    assert_refused(path, data + b"\0")
    assert_refused(path, with_sum(data + b"\0"))


def test_a_flipped_bit_of_every_byte_is_refused(path):
    write(path, FEW, FACTS)
    data = path.read_bytes()
    for place in range(len(data)):
        assert_refused(path, flipped(data, place))


def test_flipped_bit_of_a_layout_is_refused_though_the_sum_is_right(path):
    """A number of an array or a letter of a fact may change; nothing else may."""
    write(path, FEW, {})
    data = path.read_bytes()
    n_header = int.from_bytes(data[:8], "little")
    names = [data.index(b'"x"') + 1, data.index(b'"yes"') + 1]
    free = {names[0], *range(names[1], names[1] + 3)}
    layout = (
        set(range(8 + n_header))
        - free
        - set(range(8 + len(BEGIN), 8 + len(BEGIN) + 64))
    )
    for place in sorted(layout):
        path.write_bytes(with_sum(flipped(data, place)))
        try:
            arrays, facts = read(path)
        except ModelFileError:
            continue
        # Types of equal size, such as F32 and I32 or U8 and I8, are as good.
        assert facts == {}
        assert {k: a.nbytes for k, a in arrays.items()} == {"x": 8, "yes": 1}


def made(header, rest=b"", metadata=None):
    """Return the bytes of a file with some header text after the metadata."""
    about = metadata or '{"sha256":"' + "0" * 64 + '","format":"skvae","facts":"{}"}'
    text = ('{"__metadata__":' + about + header + "}").encode()
    text += b" " * (-len(text) % 8)
    return with_sum(len(text).to_bytes(8, "little") + text + rest)


def entry(shape, begin, end, dtype="F32"):
    return f'{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}'


def test_made_file_is_read(path):
    path.write_bytes(made(f',"x":{entry([1], 0, 4)}', b"\0\0\x80\x3f"))
    assert read(path)[0]["x"].tolist() == [1.0]


@pytest.mark.parametrize(
    "header",
    [
        f',"x":{entry([1], 0, 4)},"x":{entry([1], 0, 4)}',
        f',"x":{entry([1], 0, 4)},"y":{entry([1], 0, 4)}',
        f',"x":{entry([1], 4, 8)}',
        f',"x":{entry([2], 0, 4)}',
        f',"x":{entry([2**61], 0, 2**63)}',
        f',"x":{entry([2**32, 2**32], 0, 4)}',
        f',"x":{entry([0, 2**62], 0, 0)},"y":{entry([1], 0, 4)}',
        f',"x":{entry([-1], 0, 4)}',
        f',"x":{entry("[true]", 0, 4)}',
        f',"x":{entry("[1.0]", 0, 4)}',
        f',"x":{entry([1] * 40, 0, 4)}',
        f',"x":{entry([1], 0, 4, "F128")}',
        f',"x":{entry([1], 0, 4, "object")}',
        f',"x":{entry([4], 0, 4, "BOOL")}',
        f', "x":{entry([1], 0, 4)}',
        f',"{"x" * 2000}":{entry([1], 0, 4)}',
        ',"x":{"shape":[1],"dtype":"F32","data_offsets":[0,4]}',
        ',"x":[]',
        ',"x":1e999',
        ',"x":NaN',
        ',"x":' + "9" * 5000,
        ',"x":' + "[" * 60_000 + "]" * 60_000,
        ',"x":' + '{"x":' * 60_000 + "1" + "}" * 60_000,
        ',"x":[' + "[]," * 100_000 + "[]]",
    ],
)
def test_wrong_header_is_refused(path, header):
    assert_refused(path, made(header, b"\2\2\2\2"))


@pytest.mark.parametrize("facts", ["[]", "", "{", '{\\"a\\":1,\\"a\\":2}', "{} "])
def test_wrong_facts_are_refused(path, facts):
    about = f'{{"sha256":"{"0" * 64}","format":"skvae","facts":"{facts}"}}'
    assert_refused(path, made("", metadata=about))


def test_header_that_is_said_to_be_huge_is_refused(path):
    for length in (2**64 - 1, 2**63, 2**40, MOST_BYTES + 1):
        assert_refused(path, length.to_bytes(8, "little") + BEGIN + b"0" * 200)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ModelFileError, match="which is none"):
            read(path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")


# The file on the disk


def test_file_replaces_the_one_that_a_link_names(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path)
    for value in (1.0, 2.0):
        write(link, {"x": np.array(value)}, {})
        assert read(path)[0]["x"] == value
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "m.skvae"]


def test_file_has_the_permissions_of_any_new_file(path, tmp_path):
    write(path, FEW, {})
    other = tmp_path / "other"
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_error_leaves_the_older_file_and_nothing_beside_it(path, monkeypatch):
    write(path, FEW, {})
    before = path.read_bytes()

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="as it was before") as caught:
        write(path, ARRAYS, FACTS)
    assert caught.value.errno == 28
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_folder_and_device_are_not_replaced(tmp_path):
    for path in (tmp_path, "/dev/null", tmp_path / "absent" / "m.skvae"):
        with pytest.raises(OSError):  # noqa: PT011
            write(path, FEW, {})
    assert os.listdir(tmp_path) == []
