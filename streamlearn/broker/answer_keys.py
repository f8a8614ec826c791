"""The key that an answer needs to come into a partition of a given number, however many there are.

Flink's table sink cannot be told a partition. It leaves the choice to Kafka's client, which takes murmur2 of
the key, modulo the number of partitions. Of a key of four bytes murmur2 can be undone: there is one whose
hash is the number itself. So the answers to partition k of the input stand in partition k of each topic of
answers, also after partitions are added.

The function is `org.apache.kafka.common.utils.Utils.murmur2`.
"""

_FACTOR = 0x5BD1E995
_INVERSE = pow(_FACTOR, -1, 1 << 32)
_SEED = 0x9747B28C
_LENGTH = 4


def make_answer_key(partition: int) -> bytes:
    """Return the key of four bytes whose hash is a partition's number.

    >>> make_answer_key(0).hex(), make_answer_key(1).hex()
    ('e3871844', '039d77d8')
    """
    hashed = _undo_shift(_undo_shift(partition, 15) * _INVERSE % (1 << 32), 13)
    mixed = hashed ^ ((_SEED ^ _LENGTH) * _FACTOR % (1 << 32))
    word = _undo_shift(mixed * _INVERSE % (1 << 32), 24) * _INVERSE % (1 << 32)
    return word.to_bytes(_LENGTH, "little")


def _undo_shift(word: int, bits: int) -> int:
    """Return the w of 32 bits for which w ^ (w >> bits) is `word`."""
    result = word
    for shift in range(bits, 32, bits):
        result ^= word >> shift
    return result
