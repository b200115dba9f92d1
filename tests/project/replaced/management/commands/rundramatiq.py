from __future__ import annotations

from replaced.own import OwnCommand as Command

__all__ = ["Command"]
