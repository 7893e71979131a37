from __future__ import annotations

import os

import networkx as nx
import pytest

from protocols.errors import TopologyError
from protocols.topologies.from_file import FromFile


def build(path, agents):
    return FromFile(path=path).build(agents, 0)


def test_edge_list_of_names_is_numbered_by_their_order(tmp_path):
    path = tmp_path / "friends.txt"
    path.write_text("# who knows whom\ncarol alice 0.5\n\nbob,carol  # and a comment\n")
    assert build(path, 3).edges == ((0, 2), (1, 2))


def test_edge_list_of_numbers_keeps_their_order(tmp_path):
    path = tmp_path / "graph.csv"
    path.write_text("".join(f"{i},{i + 1}\n" for i in range(11)))
    assert build(path, 12).edges == tuple((i, i + 1) for i in range(11))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"node 0,node 1\nnode 1,node 2\nnode 2,node 3\n"),
        ("a.txt", b"node 0, node 1\r\nnode 1, node 2\r\nnode 2, node 3, 0.5\r\n"),
        ("a.tsv", b"node 0\tnode 1\nnode 1\tnode 2\t1\nnode 2\tnode 3\n"),
        ("a.csv", b'"node,0","node,1"\n"node,1","node,2"\n"node,2","node,3"\n'),
        ("a.edges", b"% sym positive\nn#0 n#1\nn#1 n#2 1 1234 # late\nn#2 n#3 {'w': 1}\n"),
        ("a.edgelist", b"\xef\xbb\xbf0 1\n1 2\n2 3\n"),
        ("a.edgelist", "\u2028a b\nb c\x85\nc d\n".encode()),
    ],
)
def test_names_with_spaces_marks_and_byte_order_marks_are_those_in_the_file(
    tmp_path, name, content
):
    (tmp_path / name).write_bytes(content)
    assert build(tmp_path / name, 4).edges == ((0, 1), (1, 2), (2, 3))


def test_pipe_and_large_file_are_refused_at_once(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(TopologyError, match="a pipe or a device"):
        build(tmp_path / "pipe.txt", 2)
    monkeypatch.setattr("protocols.topologies.from_file.MAX_BYTES", 10)
    (tmp_path / "large.txt").write_text("0 1\n" * 3)
    with pytest.raises(TopologyError, match="at most 10 bytes"):
        build(tmp_path / "large.txt", 2)


def test_lists_written_by_networkx_are_read(tmp_path):
    graph = nx.wheel_graph(12)
    nx.write_edgelist(graph, tmp_path / "wheel.edgelist")
    nx.write_graphml_xml(graph, tmp_path / "wheel.graphml")
    expected = tuple(sorted(graph.edges))
    assert build(tmp_path / "wheel.edgelist", 12).edges == expected
    assert build(tmp_path / "wheel.graphml", 12).edges == expected


def test_directions_and_repeats_in_graphml_do_not_matter(tmp_path):
    graph = nx.MultiDiGraph([("b", "a"), ("a", "b"), ("b", "c"), ("b", "c")])
    nx.write_graphml_xml(graph, tmp_path / "multi.graphml")
    assert build(tmp_path / "multi.graphml", 3).edges == ((0, 1), (1, 2))


def test_lone_node_can_be_written_in_graphml(tmp_path):
    nx.write_graphml_xml(nx.empty_graph(1), tmp_path / "one.graphml")
    assert build(tmp_path / "one.graphml", 1).edge_count == 0


def test_wrong_number_of_nodes_is_refused(tmp_path):
    path = tmp_path / "graph.txt"
    path.write_text("a b\n")
    with pytest.raises(TopologyError, match=r"graph\.txt.*3 nodes.*2 nodes: a, b.*run 2 agents"):
        build(path, 3)


def test_self_loops_and_separate_parts_are_refused(tmp_path):
    path = tmp_path / "graph.txt"
    path.write_text("0 1\n1 1\n")
    with pytest.raises(TopologyError, match="self-loops"):
        build(path, 2)
    path.write_text("0 1\n2 3\n")
    with pytest.raises(TopologyError, match="not connected"):
        build(path, 4)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.txt", None, "No such file"),
        ("missing.graphml", None, "No such file"),
        ("graph.json", b"{}", ".edgelist"),
        ("one.txt", b"0 1\n7\n", "line 2: '7'"),
        ("latin.txt", b"\xff\xfe 1\n", "codec"),
        ("zeros.edges", b"a\0 b\n", "line 1"),
        ("wide.edges", "a b\n".encode("utf-16"), "codec"),
        ("spaces.txt", b"node 0 node 1\n", "line 1: 'node 0 node 1'"),
        ("spaces.csv", b"0 1\n", "line 1: '0 1'"),
        ("header.csv", b"source,target\n0,1\n", "not a header"),
        ("half.csv", b"0,\n", "line 1: '0,'"),
        ("quote.csv", b'"0,1\n', "quotes closed"),
        ("twice.txt", b"0 1\n1 00\n", "'0' and '00'"),
        ("twice.tsv", "caf\u00e9\tb\nb\tcafe\u0301\n".encode(), "'caf\\xe9' and 'cafe\\u0301'"),
        ("cut.graphml", b"<!DOCTYPE g [<!ENTITY a 'b'>]><graphml>&a;", "not GraphML"),
        ("empty.graphml", b"", "no element found"),
        ("cut.graphml", b"<graphml><graph>", "not GraphML"),
        ("page.xml", b"<html></html>", "not GraphML"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TopologyError) as caught:
        build(tmp_path / name, 2)
    assert name in caught.value.message
    assert says in str(caught.value)
    assert "topology.path" in str(caught.value.hint)


def test_folder_in_place_of_a_file_is_refused(tmp_path):
    folder = tmp_path / "graph.txt"
    folder.mkdir()
    with pytest.raises(TopologyError, match="not readable"):
        build(folder, 2)


def test_empty_edge_list_is_of_the_wrong_size(tmp_path):
    (tmp_path / "graph.txt").write_text("")
    with pytest.raises(TopologyError, match="0 nodes"):
        build(tmp_path / "graph.txt", 2)
