"""Where limits, budgets and answers are kept: on this machine, or in Redis for several gateways."""

from __future__ import annotations

from pathlib import Path

from llmops_cli.core.rating import FILE
from llmops_cli.gateway_file.config import FeedbackConfig, GatewayConfig, RedisConfig
from llmops_cli.serve.accounts.bucket_file import FILE as LIMITS
from llmops_cli.serve.accounts.bucket_file import BucketFile, MachineLimiter
from llmops_cli.serve.accounts.budget import Budgets
from llmops_cli.serve.accounts.charge import Limiter
from llmops_cli.serve.accounts.failed_keys import FILE as FAILED_KEYS
from llmops_cli.serve.accounts.failed_keys import FailedKeys
from llmops_cli.serve.accounts.local_budgets import LocalBudgets
from llmops_cli.serve.accounts.owners import Owners
from llmops_cli.serve.accounts.redis_budgets import RedisBudgets
from llmops_cli.serve.accounts.redis_limiter import RedisLimiter
from llmops_cli.serve.accounts.redis_link import RedisLink
from llmops_cli.serve.answers.cache import LocalStore, SharedStore, Store
from llmops_cli.serve.answers.cache_file import MEANINGS, MEANINGS_SCHEMA, VERSION, CacheFile
from llmops_cli.serve.feedback.book import AskedBook, LocalBook, SharedBook
from llmops_cli.serve.watch.audit import AuditLog


def check_state(folder: Path, config: GatewayConfig) -> None:
    """Opens all that will be kept there. A cache that is damaged begins anew.

    Raises: EnvironmentMissing, naming what is in the way.
    """
    audit_log(folder, config).close()
    feedback_log(folder, config).close()
    for name in (LIMITS, FAILED_KEYS):
        BucketFile(folder, name=name).close()
    Owners(folder).close()
    LocalStore(folder).close()
    if _compares_meanings(config):
        CacheFile(folder / MEANINGS, MEANINGS_SCHEMA, version=VERSION).close()


def audit_log(folder: Path, config: GatewayConfig) -> AuditLog:
    """Raises: EnvironmentMissing."""
    path = folder / "audit.jsonl" if config.audit.on else None
    return AuditLog(path, bodies=config.audit.bodies)


def _compares_meanings(config: GatewayConfig) -> bool:
    caches = [config.cache, *(model.cache for model in config.models.values())]
    return any(cache is not None and cache.semantic is not None for cache in caches)


def feedback_log(folder: Path, config: GatewayConfig) -> AuditLog:
    """Raises: EnvironmentMissing."""
    return AuditLog(folder / FILE if config.feedback is not None else None)


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

    def book(self, folder: Path, config: FeedbackConfig) -> AskedBook:
        """Of requests that may be rated. Raises: EnvironmentMissing."""
        keep_s = config.hours * 3600.0
        if self.link is not None:
            return SharedBook(self.link, keep_s=keep_s)
        return LocalBook(folder, keep_s=keep_s)

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
