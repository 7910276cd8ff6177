"""Kafka's jars, fetched once with Maven and kept in the user's cache directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

KAFKA_VERSION = "4.3.1"
LOG4J_VERSION = "2.24.3"
COMPILER_VERSION = "3.38.0"

_ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.kafka", "kafka-tools", KAFKA_VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
    ("org.apache.logging.log4j", "log4j-core", LOG4J_VERSION),
)

# A Java compiler that runs where there is no JDK.
_COMPILER = (("org.eclipse.jdt", "ecj", COMPILER_VERSION),)

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

_JAVA = "Java 17 or newer (Debian: openjdk-17-jre-headless)"

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
            _program("java", _JAVA),
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
    """The jars from the cache, fetched first if they are not there. Raises `KafkaMissingError`."""

    def make(folder: Path) -> None:
        _copy_jars(_ARTIFACTS, folder / "jars")
        (folder / "conf").mkdir()
        (folder / "conf" / "log4j2.properties").write_text(_LOG4J_PROPERTIES)

    return KafkaJars(_cached(f"kafka-{KAFKA_VERSION}", make))


def compile_java(jars: KafkaJars, source: Path, destination: Path) -> None:
    """Compile a class that uses Kafka's into the folder `destination`."""
    folder = _cached(f"ecj-{COMPILER_VERSION}", lambda made: _copy_jars(_COMPILER, made / "jars"))
    (compiler,) = (folder / "jars").glob("ecj-*.jar")
    class_path = ":".join(str(jar) for jar in sorted((jars.folder / "jars").glob("*.jar")))
    options = ["--release", "17", "-cp", class_path, "-d", str(destination)]
    outcome = subprocess.run(
        [_program("java", _JAVA), "-jar", str(compiler), *options, str(source)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=TOOL_TIMEOUT_S,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def _cached(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache, filled by `make` if it is not there.

    It appears by one rename, so that an interrupted or a parallel fetch never leaves half of it.
    """
    folder = _cache_directory() / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as temporary:
            complete = Path(temporary) / "complete"
            make(complete)
            try:
                complete.rename(folder)
            except OSError:
                if not folder.is_dir():  # else: a parallel run was faster
                    raise
    return folder


def _copy_jars(artifacts: Sequence[tuple[str, str, str]], destination: Path) -> None:
    maven = _program("mvn", "Maven 3 (Debian: maven)")
    _program("java", _JAVA)
    dependencies = "".join(_DEPENDENCY.format(*artifact) for artifact in artifacts)
    with tempfile.TemporaryDirectory() as project:
        (Path(project) / "pom.xml").write_text(_POM.format(dependencies=dependencies))
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
            f"Maven could not fetch {artifacts}:\n{outcome.stdout}{outcome.stderr}"
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
