"""The fold of a stream: one step, a worker, recovery, verification, and the same offline."""
