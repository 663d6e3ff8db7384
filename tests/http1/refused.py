"""Requests that are refused: the families of request smuggling and broken grammar, with the verdict of each parser.

A row is: name, bytes, the rule that we name, and what h11 and httptools (llhttp) make of the same bytes. Where one of
them `accepts` or `waits`, it is laxer than we are, and another server in the path may be as lax.
"""

# ruff: noqa: E501 (a table is read by its rows)

from __future__ import annotations

from typing import NamedTuple

from tests.http1.good import HELLO, chunked, get, head, post
from tests.http1.oracle import Verdict


class Refused(NamedTuple):
    name: str
    data: bytes
    rule: str
    h11: Verdict
    httptools: Verdict


_LINE = "malformed request line"
_VERSION = "HTTP version other than 1.0 and 1.1"
_FORM = "request target in none of HTTP's forms"
_AUTHORITY = "malformed authority in the request target"
_HOST = "malformed Host"
_HOSTS = "several Host fields"
_NAME = "malformed field name"
_SPACE = "space before the colon of a field"
_COLON = "field line without a colon"
_FOLD = "folded field line (obs-fold)"
_CONTROL = "control character in a field value"
_LF = "bare LF"
_LENGTH = "malformed Content-Length"
_LENGTHS = "several Content-Length fields"
_BOTH = "both Content-Length and Transfer-Encoding"
_CODING = "Transfer-Encoding other than a single chunked"
_OLD = "Transfer-Encoding in HTTP/1.0"
_SIZE = "malformed chunk size"
_CHUNK = "chunk longer than its size"
_LONG_LINE = "chunk size line too long"
_EXTENSIONS = "chunk extensions too long"
_HUGE = "request head too large"
_MANY = "too many fields"
_EMPTY = "too many empty lines before a request"
_TRAILERS = "trailers too large"
_TRAILER_LF = "bare LF in trailers"


def target(value: bytes) -> bytes:
    return head(b"GET " + value + b" HTTP/1.1", b"Host: a")


def host(value: bytes) -> bytes:
    return head(b"GET / HTTP/1.1", b"Host: " + value)


def length(value: bytes) -> bytes:
    return post(b"Content-Length: " + value, body=b"hello")


def coding(value: bytes) -> bytes:
    return post(b"Transfer-Encoding: " + value, body=HELLO)


REFUSED_HEADS = [
    # Request line.
    Refused("HTTP/0.9", b"GET /\r\n\r\n", _LINE, "refuses", "accepts"),
    Refused("no target", b"GET HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("nothing after the method", b"GET\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("two spaces after the method", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "accepts"),
    Refused("two spaces after the target", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "accepts"),
    Refused("space after the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("space before the method", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("tab for a space", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("form feed for a space", b"GET /\x0cHTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("words after the target", b"GET / a b HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("a second version", b"GET / HTTP/1.1 HTTP/1.0\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("a method that is no token", b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("a method with a colon", b"Host: / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("an endless method", b"A" * 33 + b" / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "accepts", "refuses"),
    Refused("NUL in the method", b"G\x00ET / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("first byte is NUL", b"\x00GET / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("a byte order mark", b"\xef\xbb\xbfGET / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("a response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("a field first", b"Host: a\r\nGET / HTTP/1.1\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("PROXY protocol", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("TLS ClientHello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64), _LINE, "refuses", "refuses"),
    Refused("chunk line left over", b"0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("bare CR before", b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "accepts"),
    Refused("CR CR LF after the line", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    # Versions.
    Refused("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", _VERSION, "accepts", "refuses"),
    Refused("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", _VERSION, "accepts", "accepts"),
    Refused("HTTP/0.9 by name", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", _VERSION, "accepts", "accepts"),
    Refused("HTTP/9.9", b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", _VERSION, "accepts", "refuses"),
    Refused("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", _VERSION, "refuses", "refuses"),
    Refused("HTTP/3", b"GET / HTTP/3\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("HTTP/1", b"GET / HTTP/1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("HTTP/1.10", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("HTTP/01.1", b"GET / HTTP/01.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("HTTP/+1.1", b"GET / HTTP/+1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("HTTP/1,1", b"GET / HTTP/1,1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("http/1.1", b"GET / http/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("HTTPS/1.1", b"GET / HTTPS/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("another protocol's version", b"DESCRIBE / RTSP/1.0\r\nHost: a\r\n\r\n", _LINE, "refuses", "accepts"),
    # Targets.
    Refused("space in the target", target(b"/a b"), _LINE, "refuses", "refuses"),
    Refused("tab in the target", target(b"/a\tb"), _LINE, "refuses", "refuses"),
    Refused("NUL in the target", target(b"/a\x00"), _LINE, "refuses", "refuses"),
    Refused("DEL in the target", target(b"/a\x7f"), _LINE, "refuses", "refuses"),
    Refused("bare CR in the target", target(b"/a\rb"), _LINE, "refuses", "refuses"),
    Refused("8-bit bytes in the target", target(b"/\xc3\xa4"), _LINE, "refuses", "refuses"),
    Refused("a fragment", target(b"/a#b"), _LINE, "accepts", "accepts"),
    Refused("a relative path", target(b"a/b"), _FORM, "accepts", "refuses"),
    Refused("a query alone", target(b"?a"), _FORM, "accepts", "refuses"),
    Refused("a star for GET", target(b"*"), _FORM, "accepts", "accepts"),
    Refused("an authority for GET", target(b"a:80"), _FORM, "accepts", "refuses"),
    Refused("another scheme", target(b"ftp://a/"), _FORM, "accepts", "accepts"),
    Refused("a scheme without slashes", target(b"http:a"), _FORM, "accepts", "refuses"),
    Refused("a path for CONNECT", head(b"CONNECT / HTTP/1.1", b"Host: a"), _FORM, "accepts", "accepts"),
    Refused("an absolute target for CONNECT", head(b"CONNECT http://a:1/ HTTP/1.1", b"Host: a"), _FORM, "accepts", "accepts"),
    Refused("user information for CONNECT", head(b"CONNECT u@a:1 HTTP/1.1", b"Host: a"), _FORM, "accepts", "accepts"),
    Refused("absolute without authority", target(b"http:///a"), _AUTHORITY, "accepts", "accepts"),
    Refused("absolute with user information", target(b"http://u:p@a/"), _AUTHORITY, "accepts", "accepts"),
    Refused("absolute with a backslash", target(b"http://a\\@b/"), _AUTHORITY, "accepts", "refuses"),
    Refused("absolute with a port alone", target(b"http://:80/"), _AUTHORITY, "accepts", "accepts"),
    # Host.
    Refused("no Host", head(b"GET / HTTP/1.1", b"X-A: 1"), "no Host field", "refuses", "accepts"),
    Refused("no Host, no field", head(b"GET / HTTP/1.1"), "no Host field", "refuses", "accepts"),
    Refused("no Host, absolute target", head(b"GET http://a/ HTTP/1.1", b"X-A: 1"), "no Host field", "refuses", "accepts"),
    Refused("two Hosts", get(b"Host: b"), _HOSTS, "refuses", "accepts"),
    Refused("two equal Hosts", get(b"Host: a"), _HOSTS, "refuses", "accepts"),
    Refused("two Hosts, absolute target", head(b"GET http://a/ HTTP/1.1", b"Host: a", b"HOST: a"), _HOSTS, "refuses", "accepts"),
    Refused("two Hosts in HTTP/1.0", head(b"GET / HTTP/1.0", b"Host: a", b"Host: b"), _HOSTS, "refuses", "accepts"),
    Refused("empty Host", host(b""), _HOST, "accepts", "accepts"),
    Refused("empty Host in HTTP/1.0", head(b"GET / HTTP/1.0", b"Host:"), _HOST, "accepts", "accepts"),
    Refused("Host with a space", host(b"a b"), _HOST, "accepts", "accepts"),
    Refused("Host with a tab", host(b"a\tb"), _HOST, "accepts", "accepts"),
    Refused("Host with user information", host(b"u@a"), _HOST, "accepts", "accepts"),
    Refused("Host with a path", host(b"a/b"), _HOST, "accepts", "accepts"),
    Refused("Host with a query", host(b"a?b"), _HOST, "accepts", "accepts"),
    Refused("Host with a fragment", host(b"a#b"), _HOST, "accepts", "accepts"),
    Refused("Host with a backslash", host(b"a\\b"), _HOST, "accepts", "accepts"),
    Refused("Host as a URL", host(b"http://a"), _HOST, "accepts", "accepts"),
    Refused("Host list", host(b"a, b"), _HOST, "accepts", "accepts"),
    Refused("Host list without a space", host(b"a,b"), _HOST, "accepts", "accepts"),
    Refused("Host with a broken escape", host(b"a%2"), _HOST, "accepts", "accepts"),
    Refused("Host with an escape that is none", host(b"a%zz"), _HOST, "accepts", "accepts"),
    Refused("Host with 8-bit bytes", host(b"\xc3\xa4"), _HOST, "accepts", "accepts"),
    Refused("Host quoted", host(b'"a"'), _HOST, "accepts", "accepts"),
    Refused("Host of empty brackets", host(b"[]"), _HOST, "accepts", "accepts"),
    Refused("Host of an open bracket", host(b"[::1"), _HOST, "accepts", "accepts"),
    Refused("Host of a name in brackets", host(b"[localhost]"), _HOST, "accepts", "accepts"),
    Refused("Host with bytes after the bracket", host(b"[::1]a"), _HOST, "accepts", "accepts"),
    Refused("Host of IPv6 without brackets", host(b"::1"), _HOST, "accepts", "accepts"),
    Refused("Host with a port that is none", host(b"a:b"), _HOST, "accepts", "accepts"),
    Refused("Host with a signed port", host(b"a:+80"), _HOST, "accepts", "accepts"),
    Refused("Host with a port of six digits", host(b"a:080808"), _HOST, "accepts", "accepts"),
    Refused("Host with two ports", host(b"a:80:80"), _HOST, "accepts", "accepts"),
    Refused("Host with bytes after the port", host(b"a:80@b"), _HOST, "accepts", "accepts"),
    Refused("Host of a port alone", host(b":80"), _HOST, "accepts", "accepts"),
    Refused("bad Host beside an absolute target", head(b"GET http://a/ HTTP/1.1", b"Host: a b"), _HOST, "accepts", "accepts"),
    # Fields.
    Refused("space before the colon", get(b"X-A : 1"), _SPACE, "refuses", "refuses"),
    Refused("tab before the colon", get(b"X-A\t: 1"), _SPACE, "refuses", "refuses"),
    Refused("space in a name", get(b"X A: 1"), _NAME, "refuses", "refuses"),
    Refused("empty name", get(b": 1"), _NAME, "refuses", "refuses"),
    Refused("name that is no token", get(b"X(A): 1"), _NAME, "refuses", "refuses"),
    Refused("NUL in a name", get(b"X\x00A: 1"), _NAME, "refuses", "refuses"),
    Refused("8-bit byte in a name", get(b"Transfer-Encoding\xa0: chunked"), _NAME, "refuses", "refuses"),
    Refused("vertical tab in a name", get(b"X-A\x0b: 1"), _NAME, "refuses", "refuses"),
    Refused("bare CR in a name", get(b"X\rA: 1"), _NAME, "refuses", "refuses"),
    Refused("bare CR before a name", get(b"\rX-A: 1"), _NAME, "refuses", "refuses"),
    Refused("no colon", get(b"X-A"), _COLON, "refuses", "refuses"),
    Refused("equals sign for the colon", get(b"X-A= 1"), _COLON, "refuses", "refuses"),
    Refused("a request line among the fields", get(b"GET /b HTTP/1.1"), _COLON, "refuses", "refuses"),
    Refused("obs-fold by a space", get(b"X-A: 1", b" 2"), _FOLD, "accepts", "refuses"),
    Refused("obs-fold by a tab", get(b"X-A: 1", b"\t2"), _FOLD, "accepts", "refuses"),
    Refused("obs-fold that hides a length", post(b"X-A: 1", b" Content-Length: 5", body=b"hello"), _FOLD, "waits", "refuses"),
    Refused("obs-fold of the first field", b"GET / HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n", _FOLD, "refuses", "refuses"),
    Refused("obs-fold of white space alone", get(b"X-A: 1", b" "), _FOLD, "accepts", "refuses"),
    Refused("NUL in a value", get(b"X-A: a\x00b"), _CONTROL, "refuses", "refuses"),
    Refused("control byte in a value", get(b"X-A: a\x01b"), _CONTROL, "accepts", "refuses"),
    Refused("vertical tab before a value", get(b"X-A: \x0bb"), _CONTROL, "refuses", "refuses"),
    Refused("form feed after a value", get(b"X-A: b\x0c"), _CONTROL, "refuses", "refuses"),
    Refused("DEL in a value", get(b"X-A: a\x7fb"), _CONTROL, "accepts", "refuses"),
    Refused("escape in a value", get(b"X-A: \x1b[0m"), _CONTROL, "accepts", "refuses"),
    Refused("bare CR in a value", get(b"X-A: a\rX-B: b"), _CONTROL, "refuses", "refuses"),
    Refused("bare CR that hides a coding", post(b"X-A: a\rTransfer-Encoding: chunked", body=HELLO), _CONTROL, "refuses", "refuses"),
    Refused("CR CR LF after a value", get(b"X-A: a\r"), _CONTROL, "refuses", "refuses"),
    # Line ends.
    Refused("LF alone everywhere", b"GET / HTTP/1.1\nHost: a\n\n", _LF, "accepts", "refuses"),
    Refused("LF after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", _LINE, "accepts", "refuses"),
    Refused("LF after a field", b"GET / HTTP/1.1\r\nHost: a\nX-A: 1\r\n\r\n", _CONTROL, "accepts", "refuses"),
    Refused("LF CR LF for the empty line", b"GET / HTTP/1.1\r\nHost: a\n\r\n", _LF, "accepts", "refuses"),
    Refused("LF for the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\n", _LF, "accepts", "refuses"),
    Refused("LF that hides a coding", post(b"X-A: a\nTransfer-Encoding: chunked", body=HELLO), _CONTROL, "accepts", "refuses"),
    Refused("LF in a name", get(b"X\nA: 1"), _NAME, "refuses", "refuses"),
    Refused("LF before the request", b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", _LINE, "refuses", "accepts"),
    Refused("CR alone everywhere", b"GET / HTTP/1.1\rHost: a\r\r\n\r\n", _LINE, "refuses", "refuses"),
    Refused("endless empty lines", b"\r\n" * 5 + get(), _EMPTY, "refuses", "accepts"),
    # Bounds.
    Refused("a target over 64 KiB", target(b"/" + b"a" * 65_536), _HUGE, "accepts", "accepts"),
    Refused("a value over 64 KiB", get(b"X-A: " + b"a" * 65_536), _HUGE, "accepts", "accepts"),
    Refused("fields over 64 KiB", get(*[b"X-%03d: %b" % (i, b"a" * 600) for i in range(120)]), _HUGE, "accepts", "accepts"),
    Refused("a head over 64 KiB without an end", get(b"X-A: " + b"a" * 70_000)[:-4], _HUGE, "waits", "waits"),
    Refused("129 fields", get(*[b"X-%d: 1" % i for i in range(128)]), _MANY, "accepts", "accepts"),
    Refused("129 equal fields", get(*[b"X-A: 1"] * 128), _MANY, "accepts", "accepts"),
    Refused("10 000 fields", get(*[b"A:"] * 10_000), _MANY, "accepts", "accepts"),
    Refused("257 lengths", post(*[b"Content-Length: 5"] * 257, body=b"hello"), _MANY, "accepts", "refuses"),
]  # fmt: skip

REFUSED_FRAMING = [
    # Lengths.
    Refused("two lengths", post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"), _LENGTHS, "refuses", "refuses"),
    Refused("two equal lengths", post(b"Content-Length: 5", b"content-length: 5", body=b"hello"), _LENGTHS, "accepts", "refuses"),
    Refused("a length and none", post(b"Content-Length: 5", b"Content-Length:", body=b"hello"), _LENGTH, "refuses", "refuses"),
    Refused("a list of lengths", length(b"5, 6"), _LENGTH, "refuses", "refuses"),
    Refused("a list of equal lengths", length(b"5, 5"), _LENGTH, "accepts", "refuses"),
    Refused("a list with an empty member", length(b"5,"), _LENGTH, "refuses", "refuses"),
    Refused("an empty length", length(b""), _LENGTH, "refuses", "refuses"),
    Refused("a positive sign", length(b"+5"), _LENGTH, "refuses", "refuses"),
    Refused("a negative length", length(b"-5"), _LENGTH, "refuses", "refuses"),
    Refused("minus nought", length(b"-0"), _LENGTH, "refuses", "refuses"),
    Refused("a hexadecimal length", length(b"0x5"), _LENGTH, "refuses", "refuses"),
    Refused("a decimal point", length(b"5.0"), _LENGTH, "refuses", "refuses"),
    Refused("an exponent", length(b"5e0"), _LENGTH, "refuses", "refuses"),
    Refused("an underscore in the digits", length(b"0_5"), _LENGTH, "refuses", "refuses"),
    Refused("a space in the digits", length(b"0 5"), _LENGTH, "refuses", "refuses"),
    Refused("a quoted length", length(b'"5"'), _LENGTH, "refuses", "refuses"),
    Refused("a unit after the length", length(b"5bytes"), _LENGTH, "refuses", "refuses"),
    Refused("digits that are not ASCII", length(b"\xd9\xa5"), _LENGTH, "refuses", "refuses"),
    Refused("a superscript digit", length(b"\xb2"), _LENGTH, "refuses", "refuses"),
    Refused("a parameter", length(b"5;a=b"), _LENGTH, "refuses", "refuses"),
    Refused("a length past 64 bits", length(b"18446744073709551621"), _LENGTH, "waits", "refuses"),
    Refused("a length of 19 digits", length(b"0000000000000000005"), _LENGTH, "accepts", "accepts"),
    Refused("a length of 5 000 digits", length(b"9" * 5_000), _LENGTH, "refuses", "refuses"),
    Refused("NUL after the length", length(b"5\x00"), _CONTROL, "refuses", "refuses"),
    Refused("vertical tab before the length", length(b"\x0b5"), _CONTROL, "refuses", "refuses"),
    Refused("bare CR in the length", length(b"5\r6"), _CONTROL, "refuses", "refuses"),
    Refused("space before the colon of a length", post(b"Content-Length : 5", body=b"hello"), _SPACE, "refuses", "refuses"),
    Refused("two lengths in HTTP/1.0", head(b"POST / HTTP/1.0", b"Content-Length: 1", b"Content-Length: 2") + b"ab", _LENGTHS, "refuses", "refuses"),
    # Both, and codings.
    Refused("length, then chunked", post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=HELLO), _BOTH, "accepts", "refuses"),
    Refused("chunked, then length", post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=HELLO), _BOTH, "accepts", "refuses"),
    Refused("length 0 and chunked", post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=HELLO), _BOTH, "accepts", "refuses"),
    Refused("both, Connection names the length",
            post(b"Connection: Content-Length", b"Content-Length: 5", b"Transfer-Encoding: chunked", body=HELLO), _BOTH, "accepts", "refuses"),
    Refused("both, Connection names the coding",
            post(b"Connection: Transfer-Encoding", b"Content-Length: 5", b"Transfer-Encoding: chunked", body=HELLO), _BOTH, "accepts", "refuses"),
    Refused("length and a coding that is none", post(b"Content-Length: 5", b"Transfer-Encoding: x", body=b"hello"), _CODING, "refuses", "refuses"),
    Refused("xchunked", coding(b"xchunked"), _CODING, "refuses", "refuses"),
    Refused("chunkedx", coding(b"chunkedx"), _CODING, "refuses", "refuses"),
    Refused("chunk", coding(b"chunk"), _CODING, "refuses", "refuses"),
    Refused("identity", coding(b"identity"), _CODING, "refuses", "refuses"),
    Refused("an empty coding", coding(b""), _CODING, "refuses", "refuses"),
    Refused("an empty coding and a length", post(b"Transfer-Encoding:", b"Content-Length: 5", body=b"hello"), _CODING, "refuses", "refuses"),
    Refused("chunked, identity", coding(b"chunked, identity"), _CODING, "refuses", "refuses"),
    Refused("identity, chunked", coding(b"identity, chunked"), _CODING, "refuses", "accepts"),
    Refused("gzip, chunked", coding(b"gzip, chunked"), _CODING, "refuses", "accepts"),
    Refused("chunked, chunked", coding(b"chunked, chunked"), _CODING, "refuses", "refuses"),
    Refused("chunked with a comma after", coding(b"chunked,"), _CODING, "refuses", "refuses"),
    Refused("chunked with a comma before", coding(b", chunked"), _CODING, "refuses", "accepts"),
    Refused("chunked with a parameter", coding(b"chunked;a=b"), _CODING, "refuses", "refuses"),
    Refused("chunked in quotes", coding(b'"chunked"'), _CODING, "refuses", "refuses"),
    Refused("chunked in apostrophes", coding(b"'chunked'"), _CODING, "refuses", "refuses"),
    Refused("chunked, two fields", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=HELLO), _CODING, "refuses", "refuses"),
    Refused("chunked and identity, two fields", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=HELLO), _CODING, "refuses", "refuses"),
    Refused("identity and chunked, two fields", post(b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked", body=HELLO), _CODING, "refuses", "accepts"),
    Refused("chunked and nothing, two fields", post(b"Transfer-Encoding: chunked", b"Transfer-Encoding:", body=HELLO), _CODING, "refuses", "refuses"),
    Refused("8-bit space after chunked", coding(b"chunked\xa0"), _CODING, "refuses", "refuses"),
    Refused("another letter in chunked", coding(b"ch\xc3\xbanked"), _CODING, "refuses", "refuses"),
    Refused("vertical tab before chunked", coding(b"\x0bchunked"), _CONTROL, "refuses", "refuses"),
    Refused("vertical tab after chunked", coding(b"chunked\x0b"), _CONTROL, "refuses", "refuses"),
    Refused("NUL before chunked", coding(b"\x00chunked"), _CONTROL, "refuses", "refuses"),
    Refused("bare CR before chunked", coding(b"\rchunked"), _CONTROL, "refuses", "refuses"),
    Refused("LF before chunked", coding(b"\nchunked"), _CONTROL, "refuses", "refuses"),
    Refused("folded chunked", post(b"Transfer-Encoding:", b" chunked", body=HELLO), _FOLD, "accepts", "refuses"),
    Refused("space before the colon of a coding", post(b"Transfer-Encoding : chunked", body=HELLO), _SPACE, "refuses", "refuses"),
    Refused("space before the name of a coding", b"POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: a\r\n\r\n", _FOLD, "refuses", "refuses"),
    Refused("space in the name of a coding", post(b"Transfer Encoding: chunked", body=HELLO), _NAME, "refuses", "refuses"),
    Refused("chunked in HTTP/1.0", head(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked") + HELLO, _OLD, "accepts", "accepts"),
    Refused("both in HTTP/1.0", head(b"POST / HTTP/1.0", b"Content-Length: 5", b"Transfer-Encoding: chunked") + HELLO, _OLD, "accepts", "refuses"),
    # Chunk sizes.
    Refused("chunk size 0x5", chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("chunk size +5", chunked(b"+5\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("chunk size -5", chunked(b"-5\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("chunk size -0", chunked(b"-0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("chunk size 0_5", chunked(b"0_5\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("space before a chunk size", chunked(b" 5\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("space after a chunk size", chunked(b"5 \r\nhello\r\n0\r\n\r\n"), _SIZE, "accepts", "refuses"),
    Refused("tab after a chunk size", chunked(b"5\t\r\nhello\r\n0\r\n\r\n"), _SIZE, "accepts", "refuses"),
    Refused("CR before a chunk size", chunked(b"\r5\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("vertical tab after a chunk size", chunked(b"5\x0b\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("NUL after a chunk size", chunked(b"5\x00\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("letters after a chunk size", chunked(b"5x\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("a decimal point in a chunk size", chunked(b"5.0\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("a quoted chunk size", chunked(b'"5"\r\nhello\r\n0\r\n\r\n'), _SIZE, "refuses", "refuses"),
    Refused("an empty chunk size", chunked(b"\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("an extension without a size", chunked(b";a\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("a chunk size past 64 bits", chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), _SIZE, "waits", "refuses"),
    Refused("a chunk size of all Fs", chunked(b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), _SIZE, "waits", "waits"),
    Refused("a chunk size of 16 digits", chunked(b"0000000000000005\r\nhello\r\n0\r\n\r\n"), _SIZE, "accepts", "accepts"),
    Refused("a chunk size of 2 000 digits", chunked(b"0" * 2_000 + b"5\r\nhello\r\n0\r\n\r\n"), _LONG_LINE, "refuses", "accepts"),
    # Chunk line ends.
    Refused("LF after a chunk size", chunked(b"5\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("CR after a chunk size", chunked(b"5\rhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("LF after chunk data", chunked(b"5\r\nhello\n0\r\n\r\n"), _CHUNK, "refuses", "refuses"),
    Refused("CR after chunk data", chunked(b"5\r\nhello\r0\r\n\r\n"), _CHUNK, "refuses", "refuses"),
    Refused("nothing after chunk data", chunked(b"5\r\nhello0\r\n\r\n"), _CHUNK, "refuses", "refuses"),
    Refused("two bytes too many", chunked(b"5\r\nhelloXX0\r\n\r\n"), _CHUNK, "refuses", "refuses"),
    Refused("LF CR after chunk data", chunked(b"5\r\nhello\n\r0\r\n\r\n"), _CHUNK, "refuses", "refuses"),
    Refused("a chunk shorter than its size", chunked(b"6\r\nhello\r\n0\r\n\r\n"), _CHUNK, "refuses", "refuses"),
    Refused("LF after the last chunk", chunked(b"0\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("LF for the end of the body", chunked(b"0\r\n\n"), _TRAILER_LF, "accepts", "refuses"),
    # Chunk extensions.
    Refused("LF in a chunk extension", chunked(b"5;\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("LF in a quoted chunk extension", chunked(b'5;a="\n"\r\nhello\r\n0\r\n\r\n'), _SIZE, "refuses", "refuses"),
    Refused("LF that ends an extension early", chunked(b"2;\nxx\r\n4c\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("CR in a chunk extension", chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), _SIZE, "accepts", "refuses"),
    Refused("NUL in a chunk extension", chunked(b"5;a\x00\r\nhello\r\n0\r\n\r\n"), _SIZE, "accepts", "refuses"),
    Refused("DEL in a chunk extension", chunked(b"5;a\x7f\r\nhello\r\n0\r\n\r\n"), _SIZE, "accepts", "refuses"),
    Refused("an extension without its semicolon", chunked(b"5 a=b\r\nhello\r\n0\r\n\r\n"), _SIZE, "refuses", "refuses"),
    Refused("a long chunk extension", chunked(b"5;" + b"a" * 1_100 + b"\r\nhello\r\n0\r\n\r\n"), _LONG_LINE, "accepts", "accepts"),
    Refused("many chunk extensions", chunked((b"1;" + b"a" * 500 + b"\r\nx\r\n") * 40 + b"0\r\n\r\n"), _EXTENSIONS, "accepts", "accepts"),
    # Trailers.
    Refused("a trailer without a colon", chunked(b"0\r\nX\r\n\r\n"), _COLON, "refuses", "refuses"),
    Refused("a folded trailer", chunked(b"0\r\nX: 1\r\n 2\r\n\r\n"), _FOLD, "accepts", "refuses"),
    Refused("space before a trailer's colon", chunked(b"0\r\nX : 1\r\n\r\n"), _SPACE, "refuses", "refuses"),
    Refused("LF after a trailer", chunked(b"0\r\nX: 1\nY: 2\r\n\r\n"), _CONTROL, "accepts", "refuses"),
    Refused("LF alone after the trailers", chunked(b"0\r\nX: 1\r\n\n"), _TRAILER_LF, "accepts", "refuses"),
    Refused("CR before a trailer", chunked(b"0\r\n\rX: 1\r\n\r\n"), _NAME, "refuses", "refuses"),
    Refused("NUL in a trailer", chunked(b"0\r\nX: \x00\r\n\r\n"), _CONTROL, "refuses", "refuses"),
    Refused("a malformed length among the trailers", chunked(b"0\r\nContent-Length: x\r\n\r\n"), _LENGTH, "refuses", "refuses"),
    Refused("a request for the trailers", chunked(b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), _COLON, "refuses", "refuses"),
    Refused("129 trailers", chunked(b"0\r\n" + b"X: 1\r\n" * 129 + b"\r\n"), _MANY, "accepts", "accepts"),
    Refused("trailers over 64 KiB", chunked(b"0\r\nX: " + b"a" * 65_536 + b"\r\n\r\n"), _TRAILERS, "accepts", "accepts"),
    Refused("trailers over 64 KiB without an end", chunked(b"0\r\nX: " + b"a" * 70_000), _TRAILERS, "waits", "waits"),
    # After a message that is whole.
    Refused("rubbish after a length", post(b"Content-Length: 4", body=b"hello\r\n\r\n"), _LINE, "refuses", "refuses"),
    Refused("a second refused after a good one", get() + get(b"X : 1"), _SPACE, "refuses", "refuses"),
]  # fmt: skip

REFUSED = REFUSED_HEADS + REFUSED_FRAMING

OVERSIZED = {_HUGE, _MANY, _TRAILERS}
"""Rules that are answered 431; all others are 400."""
