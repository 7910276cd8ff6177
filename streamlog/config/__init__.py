"""Settings as data: what may be set, to what, and what it then means.

Parts:

* `settings`: `Setting` and `SettingTable`, the two shapes of the data, with `nearest`;
* `parsing`: one value, given as Python has it or as text, checked against its setting;
* `checking`: what is asked of arguments, and of strings that go into messages;
* `topic_settings`: the table of every topic setting that Kafka knows;
* `topic_config`: `TopicConfig`, all settings of one topic resolved to typed values;
* `alterations`: what a topic's settings are once some of them are changed;
* `describing`, `config_entry`: all settings of a topic as Kafka's DescribeConfigs tells them,
  loaded by who asks;
* `broker_settings`: all settings of a broker described, and which may change while it runs;
* `broker_synonyms`: what a broker calls the settings that are its topics' defaults;
* `client_settings`: the tables of `open()`, producers and consumers, and their typed results.

Rules. The names are Kafka's: `snake_case` as a Python keyword, dotted as Kafka stores them; one
follows from the other. A name that is not in its table is refused, with the nearest one that is.
A value that is not allowed is refused with what would be. Nothing is read from the environment
or from a file. Every topic setting is accepted and stored from the start, so that a broker that
takes the directory over finds it; `Setting.honoured` says which of them are acted upon here.

What it is not: it does not store settings (topics' overrides live in the metadata log), and acts
on none of them.
"""

from __future__ import annotations

from streamlog.config.alterations import (
    AlterConfigOp,
    alter_topic_settings,
    parse_topic_settings,
)
from streamlog.config.client_settings import (
    ConsumerConfig,
    OpenConfig,
    ProducerConfig,
)
from streamlog.config.parsing import parse_settings
from streamlog.config.settings import Setting, SettingTable, nearest
from streamlog.config.topic_config import KAFKA_DEFAULTS, TopicConfig
from streamlog.config.topic_settings import TOPIC_SETTINGS

__all__ = [
    "Setting",
    "SettingTable",
    "nearest",
    "parse_settings",
    "TOPIC_SETTINGS",
    "TopicConfig",
    "KAFKA_DEFAULTS",
    "parse_topic_settings",
    "alter_topic_settings",
    "AlterConfigOp",
    "OpenConfig",
    "ProducerConfig",
    "ConsumerConfig",
]
