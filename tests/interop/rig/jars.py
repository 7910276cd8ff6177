"""Kafka's jars, fetched once with Maven and kept in the user's cache directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

KAFKA_VERSION = "4.3.1"
LOG4J_VERSION = "2.24.3"

_ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.kafka", "kafka-tools", KAFKA_VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
    ("org.apache.logging.log4j", "log4j-core", LOG4J_VERSION),
)

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>streamlog.tests</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>{dependencies}</dependencies>
</project>
"""

_DEPENDENCY = """
    <dependency>
      <groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>
    </dependency>"""

# Warnings to the console, and the one line that says that the broker is up.
_LOG4J_PROPERTIES = """rootLogger.level = WARN
rootLogger.appenderRefs = stdout
rootLogger.appenderRef.stdout.ref = STDOUT
appender.stdout.type = Console
appender.stdout.name = STDOUT
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d %p %m (%c)%n
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = INFO
"""

FETCH_TIMEOUT_S = 300
TOOL_TIMEOUT_S = 120


class KafkaMissingError(Exception):
    """Java, Maven or the artifacts are not there; the text says what to install."""


class KafkaJars:
    """A folder of jars from which classes of Kafka are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def command(self, main_class: str, *arguments: str, heap: str = "256m") -> list[str]:
        """The command line that runs `main_class`; the options make the JVM start fast."""
        return [
            _program("java", "Java 17 or newer (Debian: openjdk-17-jre-headless)"),
            f"-Xmx{heap}",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            f"{self.folder}/jars/*:{self.folder}/conf",
            main_class,
            *arguments,
        ]

    def run(self, main_class: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a tool to its end. The exit status is the caller's to judge."""
        return subprocess.run(
            self.command(main_class, *arguments),
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=TOOL_TIMEOUT_S,
            check=False,
        )


def fetch_kafka() -> KafkaJars:
    """The jars from the cache, fetched first if they are not there.

    The folder appears by one rename, so that an interrupted or a parallel fetch never leaves
    half of it. Raises `KafkaMissingError`.
    """
    folder = _cache_directory() / f"kafka-{KAFKA_VERSION}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as temporary:
            complete = Path(temporary) / "kafka"
            _copy_jars(Path(temporary), complete / "jars")
            (complete / "conf").mkdir()
            (complete / "conf" / "log4j2.properties").write_text(_LOG4J_PROPERTIES)
            try:
                complete.rename(folder)
            except OSError:
                if not folder.is_dir():  # else: a parallel run was faster
                    raise
    return KafkaJars(folder)


def _copy_jars(project: Path, destination: Path) -> None:
    maven = _program("mvn", "Maven 3 (Debian: maven)")
    _program("java", "Java 17 or newer (Debian: openjdk-17-jre-headless)")
    dependencies = "".join(_DEPENDENCY.format(*artifact) for artifact in _ARTIFACTS)
    (project / "pom.xml").write_text(_POM.format(dependencies=dependencies))
    outcome = subprocess.run(
        [maven, "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={destination}"],
        cwd=project,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=FETCH_TIMEOUT_S,
        check=False,
    )
    if outcome.returncode != 0 or not destination.is_dir():
        raise KafkaMissingError(
            f"Maven could not fetch Kafka {KAFKA_VERSION}:\n{outcome.stdout}{outcome.stderr}"
        )


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "streamlog-tests"


def _program(name: str, what: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise KafkaMissingError(
            f"the interop tests run Kafka itself and need {what}: there is no `{name}` on the PATH"
        )
    return path
