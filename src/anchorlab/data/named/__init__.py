"""The tasks that have a name: one file a task, and one line here."""

from __future__ import annotations

from anchorlab.data.named.ag_news import AG_NEWS
from anchorlab.data.named.cifar10 import CIFAR10
from anchorlab.data.named.digits import DIGITS
from anchorlab.data.named.fashion_mnist import FASHION_MNIST
from anchorlab.data.named.imdb import IMDB, IMDB_2500
from anchorlab.data.named.movie_snippets import MOVIE_SNIPPETS, MOVIE_SNIPPETS_3
from anchorlab.data.named.sst2 import SST2
from anchorlab.data.named.tiny_imagenet import TINY_IMAGENET
from anchorlab.data.task import TaskDefinition
from anchorlab.registry import Registry

TASKS: Registry[TaskDefinition] = Registry(
    "task",
    "anchorlab.tasks",
    {
        "digits": DIGITS,
        "fashion-mnist": FASHION_MNIST,
        "cifar10": CIFAR10,
        "tiny-imagenet": TINY_IMAGENET,
        "movie-snippets": MOVIE_SNIPPETS,
        "movie-snippets-3": MOVIE_SNIPPETS_3,
        "sst2": SST2,
        "imdb": IMDB,
        "imdb-2500": IMDB_2500,
        "ag-news": AG_NEWS,
    },
)
