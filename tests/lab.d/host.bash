# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What the lab needs of the machine it runs on: root, Debian packages, and the archive that the
# machine's own apt uses.

# host_need PACKAGE…: install what is missing.
host_need() {
        local package missing=()
        for package; do
                if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
                        missing+=("$package")
                fi
        done
        ((${#missing[@]})) || return 0
        step "installing ${missing[*]} here" "$LAB_CACHE/log/host-apt.log" host_install "${missing[@]}"
}

host_install() {
        export DEBIAN_FRONTEND=noninteractive
        apt-get -o DPkg::Lock::Timeout=300 update
        apt-get -o DPkg::Lock::Timeout=300 -y --no-install-recommends install "$@"
}

# host_setup: everything that making and booting a guest needs.
host_setup() {
        ((EUID == 0)) || die "the lab needs root (to make guest images): run it with sudo"
        command -v apt-get >/dev/null || die "the lab needs a Debian machine: there is no apt-get here"
        [[ $(dpkg --print-architecture) == amd64 ]] || die "the lab emulates x86-64 only and needs an amd64 machine"
        umask 022
        mkdir -p "$LAB_CACHE/log" "$LAB_CACHE/lock" "$LAB_CACHE/run"
        # Two labs at once must not fight for dpkg.
        local fd
        exec {fd}>"$LAB_CACHE/lock/host"
        flock "$fd"
        host_need busybox-static ca-certificates cpio debian-archive-keyring e2fsprogs kmod mmdebstrap \
                qemu-system-x86 util-linux xz-utils
        exec {fd}>&-
}

# host_archive [security]: print the address of the Debian archive (or the security archive, if any)
# that this machine's apt uses. apt reads its own configuration for us, whatever form that has.
host_archive() {
        local codename uri release component
        codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
        # shellcheck disable=SC2016 # apt's own variables
        apt-get indextargets --no-release-info --format '$(REPO_URI)|$(RELEASE)|$(COMPONENT)' \
                'Created-By: Packages' | while IFS='|' read -r uri release component; do
                [[ $component == main ]] || continue
                case ${1:-} in
                security) [[ $release == *-security ]] || continue ;;
                *) [[ $release =~ ^($codename|stable|oldstable|testing|sid|unstable)$ ]] || continue ;;
                esac
                printf '%s\n' "$uri"
        done | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }'
}

# host_sources SUITE: the sources.list of a guest of that release.
host_sources() {
        local suite=$1 signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]' archive security
        archive=$(host_archive)
        security=$(host_archive security)
        [[ $archive ]] || die "apt on this machine names no Debian archive: add one to /etc/apt/sources.list.d"
        printf 'deb %s %s %s main\n' "$signed" "$archive" "$suite" "$signed" "$archive" "$suite-updates"
        if [[ $security ]]; then
                printf 'deb %s %s %s main\n' "$signed" "$security" "$suite-security"
        fi
}

# host_apt_conf: the part of this machine's apt configuration that decides how the archive is
# reached: proxies, checks, retries.
host_apt_conf() {
        apt-config dump | grep -E '^Acquire::(https?|ftp|tor|Retries|ForceIPv[46]|Check-[A-Za-z-]+|Max-[A-Za-z-]+)(::[^ ]*)? ' |
                grep -v '"";$' || :
        cat <<'END'
Acquire::Languages "none";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Dpkg::Use-Pty "false";
END
}
