#!/usr/bin/env bash
# The Debian packages that the tests against real servers and clients need. As root or with sudo without a password it
# installs what is missing; otherwise it says what is missing, and those tests are skipped (under CI=true: fail).
set -euo pipefail

declare -A package_of=(
  [sshd]=openssh-server [sftp]=openssh-client [ssh-keygen]=openssh-client [age]=age [softhsm2-util]=softhsm2 [gpg]=gpg [gpg-agent]=gpg-agent
  [gpgconf]=gpgconf [sq]=sq [openssl]=openssl [jq]=jq [npm]=npm [node]=nodejs
  [lftp]=lftp [rclone]=rclone [psftp]=putty-tools [puttygen]=putty-tools [sshfs]=sshfs [fusermount3]=fuse3 [s3cmd]=s3cmd [curl]=curl
  [radosgw]=radosgw [ceph-mon]=ceph-mon [ceph-osd]=ceph-osd [ceph]=ceph-common
)
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
missing=()
for program in "${!package_of[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
[ "${#missing[@]}" -eq 0 ] && exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo=(sudo -n)
  else
    echo "missing for the tests against real programs: ${missing[*]} (apt-get install ${missing[*]})"
    exit 0
  fi
fi
echo "installing: ${missing[*]}"
"${sudo[@]}" apt-get update -q >/dev/null
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
