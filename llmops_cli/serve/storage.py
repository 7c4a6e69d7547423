"""Where limits, budgets and answers are kept: on this machine, or in Redis for several gateways."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.gateway_file.config import RedisConfig
from llmops_cli.serve.accounts.bucket_file import BucketFile, MachineLimiter
from llmops_cli.serve.accounts.budget import Budgets
from llmops_cli.serve.accounts.charge import Limiter
from llmops_cli.serve.accounts.failed_keys import FailedKeys
from llmops_cli.serve.accounts.local_budgets import LocalBudgets
from llmops_cli.serve.accounts.redis_budgets import RedisBudgets
from llmops_cli.serve.accounts.redis_limiter import RedisLimiter
from llmops_cli.serve.accounts.redis_link import RedisLink
from llmops_cli.serve.answers.cache import LocalStore, SharedStore, Store


class Storage:
    """`link`: None without Redis. Where Redis is away, limits and budgets are the machine's."""

    def __init__(self, folder: Path, redis: RedisConfig | None) -> None:
        self._local_budgets = LocalBudgets(folder)
        self.limiter: Limiter = MachineLimiter(BucketFile(folder))
        self.failed_keys = FailedKeys(folder)
        self.budgets: Budgets = self._local_budgets
        self.answers: Store = LocalStore(folder)
        self.link: RedisLink | None = None
        if redis is not None:
            self._share(RedisLink(redis))

    def _share(self, link: RedisLink) -> None:
        self.link = link
        self.limiter = RedisLimiter(link, self.limiter)
        self.budgets = RedisBudgets(link, self.budgets)
        self.answers = SharedStore(link)

    def start(self) -> None:
        if self.link is not None:
            self.link.watch()

    def flush(self) -> None:
        """What was spent is on the disk."""
        self._local_budgets.flush()

    async def close(self) -> None:
        self.flush()
        if self.link is not None:
            await self.link.close()
