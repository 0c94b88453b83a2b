# Copyright (c) 2026, llmops.gpu_inference contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
# It also lies beside _launcher.py on the managed nodes, so it uses the standard library only and runs on Python 3.9.

"""What Docker, containerd, runc and the NVIDIA Container Toolkit say when a container cannot be pulled, made or started."""

from __future__ import annotations

try:
    from ansible_collections.llmops.gpu_inference.plugins.module_utils._causes_base import Cause, Rank, rule
except ImportError:  # on the node the files lie side by side
    from _causes_base import Cause, Rank, rule  # type: ignore[import-not-found,no-redef]

_MOBY = "moby/moby, daemon and client"
_CONTAINERD = "containerd/containerd, core/remotes"
_RUNC = "opencontainers/runc, libcontainer"

_RESTART_DOCKER = (
    "Docker's own firewall rules or cgroups are gone, mostly because another program reloaded the firewall or systemd. "
    "Run 'systemctl restart docker' on the host."
)
_DOCKER_RIGHTS = (
    "The user may not use the Docker daemon. The launcher runs as root: look at the rights of /var/run/docker.sock and at its unit."
)
_NO_RAW_TABLE = (
    "The host's kernel lacks the iptables table 'raw', as JetPack 6 does. Set DOCKER_INSECURE_NO_IPTABLES_RAW=1 for docker.service "
    "in a drop-in and restart Docker, or update JetPack."
)
_NO_FIREWALL = (
    "Docker finds no firewall on this host: its kernel lacks the modules (after an update of the kernel reboot the host, or install the "
    "modules of the running one), or the package iptables is missing."
)
_DOCKER_PROGRAM = (
    "A program of Docker itself is missing on the host, or another one stands in its place. Install docker-ce and containerd.io again "
    "(role docker does), and look for a second Docker ('which -a dockerd docker-proxy runc')."
)
_NO_NETWORK = (
    "Docker cannot make a network on this host: its kernel lacks the modules (after an update of the kernel reboot the host), or another "
    "program has changed bridges and interfaces. Then 'systemctl restart docker'."
)
_STORE = (
    "Docker's store of images and containers on this host is damaged or does not work on its file system. Look at the disk and at "
    "'docker info' (Storage Driver), remove the image ('docker image rm') and have it pulled again."
)
_DAEMON = (
    "Docker's daemon does not start; the line says why. Correct /etc/docker/daemon.json or what it names, then 'systemctl reset-failed "
    "docker docker.socket' and 'systemctl start docker' on the host."
)
_CERTIFICATE_TIME = (
    "The registry's certificate has expired or is not valid yet. Look at the clock of the host ('timedatectl') and at the certificate."
)
_PLAIN_HTTP = "The registry speaks plain http. List it under insecure-registries of the Docker daemon, or give it a certificate."
_LOGIN = (
    "The registry refuses this login, or wants one: run 'docker login' as root on the node, and check that the account may read this image."
)
_RATE_LIMIT = "The registry limits anonymous pulls. Log in with 'docker login' as root, wait, or use inference_registry_mirrors."
_BROKEN_PULL = "The image arrived damaged. It is tried again; if it stays so, look at the proxy or mirror in between, and at the disk."
_ARCHITECTURE = (
    "The program in the image was built for another processor architecture than the host's. Choose an image (or a tag of it) for this "
    "architecture: 'uname -m' on the host, 'docker image inspect --format {{.Architecture}} IMAGE'."
)
_ENTRYPOINT = (
    "The program to run does not exist in this image. Check 'image', and whether its entrypoint already is the "
    "engine (image_has_entrypoint)."
)
_ADDRESS = "This host has no such address. Correct 'bind' (inference_gateway) or the address in the service."
_RLIMIT = "This host does not allow such a resource limit. Lower the --ulimit in container_extra_arguments."
_ARGUMENTS = (
    "Docker does not accept the container's arguments. Correct container_extra_arguments of the model or service; the line names the "
    "argument."
)
_MOUNT = (
    "A path that the container mounts cannot be used on this host: it is missing, of another kind (file or folder), or may not be made "
    "there. Correct the path in 'source' or container_extra_arguments, or inference_data_dir."
)
_STORAGE_GONE = (
    "The storage that holds the path does not answer (NFS, FUSE or disk). Look at 'findmnt' and the kernel log; it is tried again once "
    "it is back."
)
_NETWORK_GONE = (
    "A Docker network that the unit joins does not exist. Run site.yml (role network makes it), or correct 'networks' of the service."
)
_SUBNET = "The subnet of a Docker network is in use on this host. Choose another one in inference_network or inference_engines_network."
_DEVICE = (
    "A device that is handed to the container does not exist on this host. Load its driver, or correct --device in "
    "container_extra_arguments."
)
_USER = "The image has no such user. Correct --user in container_extra_arguments: numbers always work."
_PROCESSES = (
    "The host or the container is at its limit of processes or threads. Raise --pids-limit (container_extra_arguments) or the host's limit."
)
_FILES = "The limit of open files is too low. Raise it with --ulimit nofile=1048576:1048576 in container_extra_arguments."
_NAME_TAKEN = (
    "A container of another origin has this name, or an old one is still being removed. 'docker ps -a' shows it; remove or rename it."
)
_SECURITY = (
    "The host's AppArmor, SELinux or seccomp does not let the container start. Read 'journalctl -k' for the refusal, and 'docker info' "
    "for the profiles."
)

RULES = (
    # The daemon
    rule(
        Cause.DOCKER_DOWN,
        _MOBY,
        r"permission denied while trying to connect to the [Dd]ocker",
        r"[Gg]ot permission denied .*docker\.sock",
        remedy=_DOCKER_RIGHTS,
    ),
    rule(
        Cause.DOCKER_DOWN,
        _MOBY,
        r"Cannot connect to the Docker daemon",
        r"[Ii]s the docker daemon running",
        r"error during connect:",
        r"dial unix \S*(?:docker|containerd)\.sock",
        r"failed to connect to the docker API",
        r"[Dd]ocker (?:API|daemon|Engine)\b.*(?:deadline exceeded|timed? ?out|not (?:running|responding))",
        r"daemon is shutting down",
        r"ExecStart=\S*dockerd\b.*\(code=(?:exited|killed|dumped), status=(?!0/)",
        r"cannot stat /run/containerd|containerd: not running|connection error: desc = .*containerd\.sock",
        r"Bad response from Docker engine|request returned .* for API route",
    ),
    rule(
        Cause.RUNTIME_MISSING,
        "moby/moby issue 49557",
        r"DIRECT ACCESS FILTERING",
        r"can't initialize iptables table [`']raw'",
        remedy=_NO_RAW_TABLE,
    ),
    rule(
        Cause.DOCKER_DOWN,
        _MOBY,
        r"iptables failed: .*(?:No chain/target/match|does not exist|Chain already exists)",
        r"Failed to Setup IP tables",
        r"No chain/target/match by that name",
        r"(?:Message recipient disconnected from message bus|dbus: connection closed|unit docker-\S+\.scope was already loaded)",
        r"unable to apply cgroup configuration",
        remedy=_RESTART_DOCKER,
    ),
    rule(
        Cause.DOCKER_DOWN,
        _MOBY,
        r"can't initialize iptables table|[Ii]ptables not found|failed to find iptables",
        r"modprobe: FATAL: Module \S+ not found in directory",
        remedy=_NO_FIREWALL,
    ),
    rule(
        Cause.DOCKER_DOWN,
        "moby/moby, daemon/libnetwork",
        r"failed to add the host .*(?:pair interfaces|sandbox)|failed to add (?:the )?(?:interface|sandbox)|could not (?:find|get) bridge",
        r"(?:failed to create|error creating) (?:the )?(?:bridge|vxlan|macvlan|ipvlan|network sandbox)\b",
        r"failed to set up container networking: .*(?:operation not supported|no such device|does not exist)",
        remedy=_NO_NETWORK,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.DOCKER_DOWN,
        "moby/moby, daemon/graphdriver; containerd, snapshots",
        r"/(?:overlay2|vfs|btrfs|image/overlay2)/[0-9a-f]\S*: (?:no such file|input/output)|creating overlay mount|failed to mount overlay",
        r"initializing graphdriver|driver \\?\"\w+\\?\" failed|parent snapshot|snapshot \S+ (?:does not exist|not found)",
        r"layer does not exist|content digest \S+: not found|failed to (?:start|connect to) containerd|metadata\.db|boltdb|fuse-overlayfs",
        remedy=_STORE,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.DOCKER_DOWN,
        "moby/moby, daemon/command",
        r"(?:[Ff]ailed to start|[Ee]rror starting) daemon: ",
        r"failed to load listeners: ",
        r"unable to configure the Docker daemon",
        remedy=_DAEMON,
        rank=Rank.WRAPPER,
    ),
    rule(
        Cause.DOCKER_DOWN,
        "systemd, core/job.c and core/unit.c",
        r"Failed to start Docker Application Container Engine|[Jj]ob for docker\.service failed",
        r"docker\.service: (?:Failed with|Start request)",
        rank=Rank.FAMILY,
        anywhere=True,
    ),
    rule(
        Cause.DOCKER_DOWN,
        _MOBY,
        r"\b(?:docker-proxy|docker-init|containerd-shim[\w-]*|runc)\"?'?: (?:executable file not found|no such file|file does not exist"
        r"|permission denied|exec format)|failed to start docker-proxy",
        remedy=_DOCKER_PROGRAM,
    ),
    # The image
    rule(
        Cause.REGISTRY_TLS,
        _MOBY,
        r"x509: certificate has expired or is not yet valid",
        remedy=_CERTIFICATE_TIME,
        permanent=False,
    ),
    rule(
        Cause.REGISTRY_TLS,
        _MOBY,
        r"server gave HTTP response to HTTPS client",
        r"first record does not look like a TLS handshake",
        remedy=_PLAIN_HTTP,
    ),
    rule(Cause.REGISTRY_TLS, _MOBY, r"x509: ", r"tls: failed to verify certificate", r"remote error: tls:"),
    rule(
        Cause.REGISTRY_DOWN,
        _CONTAINERD,
        r"toomanyrequests",
        r"You have reached your (?:unauthenticated )?pull rate limit",
        remedy=_RATE_LIMIT,
    ),
    rule(
        Cause.IMAGE_MISSING,
        _CONTAINERD,
        r"unauthorized: (?:authentication required|incorrect username|access token|HTTP Basic|.*access)",
        r"requested access to the resource is denied",
        r"pull access denied",
        r"no basic auth credentials",
        r"(?:unexpected status|received unexpected HTTP status|failed with status code)\b.*: 40[13]\b",
        r"/v2/\S*: .*(?:[Bb]ad [Cc]redentials|[Ww]rong (?:username|password))",
        r"denied: (?:permission|Permission|installation|.*not have permission)|error from registry: (?:denied|unauthorized)",
        r"(?:Head|Get|HEAD) \"?https?://\S+/v2/\S*:? .*(?:denied|unauthorized)",
        r"error getting credentials",
        remedy=_LOGIN,
    ),
    rule(
        Cause.IMAGE_MISSING,
        _CONTAINERD,
        r"manifest unknown",
        r"manifest for \S+ not found",
        r"No such image",
        r"repository (?:name not known|does not exist)",
        r"no matching manifest for",
        r"no match for platform in manifest",
        r"does not provide the specified platform|was found but (?:its platform|does not (?:match|provide))",
        r"failed to resolve reference \S+: .*not found",
        r"name unknown: ",
        r"\b(?:docker\.io|ghcr\.io|nvcr\.io|quay\.io)/\S+: not found",
        r"image \S+ is not on this host",
    ),
    rule(
        Cause.REGISTRY_DOWN,
        _CONTAINERD,
        r"(?:failed to do request|Error response from daemon|error pulling image|failed to resolve reference|failed to copy"
        r"|pinging container registry|failed to fetch|httpReadSeeker|\b(?:Head|Get|Post) (?!\\?\"?http://(?:127\.|localhost))).*"
        r"(?:connection refused|no such host|i/o timeout|TLS handshake timeout|Client\.Timeout exceeded|connection reset by peer"
        r"|context deadline exceeded|no route to host|network is unreachable|server misbehaving|proxyconnect|: EOF\b|unexpected EOF"
        r"|Temporary failure in name resolution|request canceled)",
        r"\b(?:dial|read|write) (?:tcp|udp)\d? (?!\S*\b127\.)\S+:.*(?:timed out|timeout|refused|reset by peer|no route|unreachable)",
        r"\bdial tcp\d?: lookup \S+(?: on \S+)?: (?:.*: )?(?:no such host|server misbehaving|i/o timeout|connection refused)",
        r"(?:received unexpected HTTP status|failed with status code \[[^\]]*\]): (?:5\d\d|429)",
        r"unexpected status(?: code)?(?: from \S+ request to)? .*5\d\d",
        r"error from registry: (?:unknown|internal|temporar)|blob upload unknown",
    ),
    rule(
        Cause.REGISTRY_DOWN,
        _CONTAINERD,
        r"filesystem layer verification failed",
        r"layers from manifest don't match",
        r"failed size validation",
        r"unexpected commit digest",
        r"short read: expected \d+ bytes",
        r"failed commit on ref",
        r"failed to (?:register|extract) layer(?!.*(?:no space left|[Ii]nput/output error|[Ss]tructure needs cleaning|[Rr]ead-only file))",
        r"^(?:unexpected )?EOF$",
        remedy=_BROKEN_PULL,
    ),
    # Arguments, addresses, mounts
    rule(
        Cause.BAD_FLAG,
        _MOBY,
        r"(?:[Bb]ind|listen)\b.*cannot assign requested address",
        r"\[Errno 99\]|Cannot assign requested address",
        r"invalid (?:IP address|bind address|hostIP|published port)",
        remedy=_ADDRESS,
    ),
    rule(
        Cause.DOWNLOAD_FAILED,
        "Linux, errno of network file systems",
        r"[Ss]tale (?:NFS )?file handle",
        r"[Tt]ransport endpoint is not connected",
        r"\[Errno (?:5|107|112|116|121)\]",
        r"[Ii]nput/output error|[Ss]tructure needs cleaning|layer.*[Rr]ead-only file system",
        r"[Hh]ost is down",
        r"Remote I/O error",
        remedy=_STORAGE_GONE,
    ),
    rule(Cause.BAD_MODEL, _MOBY, r"bind source path does not exist", kinds=("vllm", "llama_cpp")),
    rule(
        Cause.BAD_FLAG,
        _MOBY,
        r"bind source path does not exist",
        r"error while (?:creating|mounting) (?:mount source path|volume)",
        r"error mounting \"",
        r"[Aa]re you trying to mount a directory onto a file",
        r"failed to mount local volume|[Mm]ounts denied|is not shared from the host",
        r"mkdir \S+: (?:read-only file system|not a directory|file exists)",
        r"invalid mount (?:config|path|\{)|mount (?:destination|path) .*absolute",
        r"invalid volume specification",
        r"includes invalid characters for a local volume name",
        r"[Dd]uplicate mount point",
        r"path .* is mounted on .* but it is not a shared",
        remedy=_MOUNT,
    ),
    rule(Cause.BAD_FLAG, _RUNC, r"exec format error", remedy=_ARCHITECTURE),
    rule(Cause.BAD_FLAG, _RUNC, r"error setting rlimit", remedy=_RLIMIT),
    rule(
        Cause.BAD_FLAG,
        _RUNC,
        r"executable file not found in \$PATH",
        r"exec: \"[^\"]*\": .*(?:no such file or directory|permission denied|is a directory)",
        r"exec: [\w./-]+: (?:not found|cannot execute)",
        r"\b(?:vllm|ollama|litellm|llama-server|python3?): (?:command )?not found",
        r"runc create failed: .*(?:no such file or directory)$|failed to exec\b.*: (?:No such file|Permission denied|Exec format)",
        r"No command specified",
        r"can't open file '[^']+': \[Errno 2\]",
        remedy=_ENTRYPOINT,
        rank=Rank.WRAPPER,
    ),
    rule(Cause.BAD_FLAG, _RUNC, r"unable to find (?:user|group) \S+: ", r"no matching entries in (?:passwd|group) file", remedy=_USER),
    rule(Cause.BAD_FLAG, _MOBY, r"error gathering device information while adding custom device", r"not a device node", remedy=_DEVICE),
    rule(
        Cause.BAD_FLAG,
        _MOBY,
        r"network \S+ not found",
        r"could not find a network matching",
        r"network-scoped alias is supported only",
        remedy=_NETWORK_GONE,
    ),
    rule(
        Cause.BAD_FLAG,
        _MOBY,
        r"Pool overlaps with other one",
        r"conflicts with (?:existing route|network)",
        r"all predefined address pools have been fully subnetted",
        r"cannot create network .*: conflicts",
        remedy=_SUBNET,
    ),
    rule(
        Cause.BAD_FLAG,
        _MOBY,
        r"invalid reference format",
        r"invalid (?:containerPort|hostPort|port|publish|memory|restart policy|shm|isolation|env|label|log-opt|value|proto|option"
        r"|argument \".*\" for)\b",
        r"unknown (?:flag|shorthand flag|log opt|log driver|option): ",
        r"requires at least \d argument",
        r"See 'docker (?:create|run|start)(?: --help)?'",
        r"[Cc]onflicting options: ",
        r"Minimum memory limit",
        r"memory limit should be",
        r"Range of CPUs is from",
        r"Requested (?:CPUs|memory nodes) are not available",
        r"sysctl \S+ .*(?:not in a separate|is not (?:allowed|permitted|whitelisted))",
        r"bad format for (?:path|add-host|links)",
        r"poorly formatted environment",
        r"invalid argument \"|[Aa]dditional propert(?:y|ies)\b.*not allowed|validating \S+\.ya?ml: ",
        remedy=_ARGUMENTS,
    ),
    rule(
        Cause.UNKNOWN,
        _MOBY,
        r"Conflict\. The container name",
        r"removal of container \S+ is already in progress",
        remedy=_NAME_TAKEN,
    ),
    rule(
        Cause.UNKNOWN,
        _RUNC,
        r"AppArmor enabled on system but",
        r"apparmor failed to apply profile",
        r"seccomp: .*(?:not supported|error)",
        remedy=_SECURITY,
    ),
    # Limits of the host
    rule(
        Cause.OUT_OF_MEMORY,
        "Linux, errno of fork and clone",
        r"can't start new thread",
        r"pthread_create failed",
        r"fork(?:/exec \S+)?: (?:retry: )?[Rr]esource temporarily unavailable",
        r"\[Errno 11\] Resource temporarily unavailable",
        remedy=_PROCESSES,
    ),
    rule(Cause.BAD_FLAG, "Linux, errno EMFILE", r"^(?!Found ulimit).*(?:\[Errno 24\]|[Tt]oo many open files)", remedy=_FILES),
    rule(
        Cause.BAD_FLAG,
        _MOBY,
        r"(?:^|: )Error response from daemon: (?:invalid|bad|unsupported|conflicting)\b",
        remedy=_ARGUMENTS,
        rank=Rank.FAMILY,
    ),
)

#: For an exit code that says the same.
ENTRYPOINT = _ENTRYPOINT
