"""The languages of upstreams, each a translation without I/O. `table` has one codec for each pair of endpoint and
dialect that is spoken."""
