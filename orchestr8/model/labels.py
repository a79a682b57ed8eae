"""Labels of the Compose ecosystem, so that tools made for Compose recognise our containers."""

from typing import Final

PROJECT: Final = "com.docker.compose.project"
SERVICE: Final = "com.docker.compose.service"
NUMBER: Final = "com.docker.compose.container-number"
ONEOFF: Final = "com.docker.compose.oneoff"
CONFIG_HASH: Final = "com.docker.compose.config-hash"
WORKING_DIR: Final = "com.docker.compose.project.working_dir"
CONFIG_FILES: Final = "com.docker.compose.project.config_files"
DEPENDS_ON: Final = "com.docker.compose.depends_on"
IMAGE: Final = "com.docker.compose.image"
NETWORK: Final = "com.docker.compose.network"
VOLUME: Final = "com.docker.compose.volume"
