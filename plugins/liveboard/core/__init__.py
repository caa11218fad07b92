"""The board as data: operations, their one encoding, the set they form, its digests and the picture it shows.

Everything here is a function of bytes and integers. `web/liveboard/core` is the same in JavaScript; the vectors in
`tests/plugins/liveboard/vectors` hold both to one another.
"""
