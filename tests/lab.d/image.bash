# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Guest images, in layers: a release, more Debian packages, this tree's packages; then a disk.

# What every guest has besides the base system. The libraries are those our packages pull in, so that
# installing a new build of ours fetches nothing.
readonly IMAGE_PACKAGES=(
        systemd-sysv dbus udev kmod procps psmisc util-linux less
        ndctl daxctl numactl e2fsprogs xfsprogs polkitd
        libdaxctl1 libnuma1 libsmartcols1 libjson-c5 libinih1 libsystemd0 libcap2
)

# What a guest that lives for a minute without a network does not need.
readonly IMAGE_MASKED=(
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
        e2scrub_reap.service fstrim.timer man-db.timer getty@tty1.service getty-static.service
        serial-getty@ttyS0.service serial-getty@hvc0.service systemd-networkd.service systemd-timesyncd.service
        systemd-pstore.service ndctl-monitor.service systemd-firstboot.service
        systemd-sysusers.service systemd-hwdb-update.service systemd-update-done.service
        ldconfig.service systemd-journal-catalog-update.service systemd-journal-flush.service
)

# image_get SUITE [PACKAGE…]: sets REPLY to a disk image with our packages and those named installed.
image_get() {
        local suite=$1 sources base extra debs
        shift
        sources=$(host_sources "$suite")
        mapfile -t extra < <(printf '%s\n' "$@" | grep . | sort -u)

        cache_get root "$suite" "$sources ${IMAGE_PACKAGES[*]} ${IMAGE_MASKED[*]} $(declare -f host_apt_conf image_guest_files)" \
                "building the $suite guest" image_build_base "$suite" "$sources"
        base=$REPLY
        if ((${#extra[@]})); then
                cache_get root "$suite-with" "$base $(declare -f in_root)" "adding ${extra[*]} to the $suite guest" \
                        image_build_extra "$base" "${extra[@]}"
                base=$REPLY
        fi
        package_get "$suite"
        debs=$REPLY
        cache_get disk "$suite" "$(declare -f in_root)" "making the disk of the $suite guest" \
                image_build_disk "$base" "$debs"
}

# in_root ROOT COMMAND…: run COMMAND in a Debian tree, with the network, in namespaces of its own so
# that nothing it mounts or starts is left behind.
in_root() {
        # shellcheck disable=SC2016 # for the inner shell
        unshare --mount --pid --fork --kill-child --propagation private -- bash -euc '
                root=$1
                shift
                mount -t proc proc "$root/proc"
                mount --rbind /sys "$root/sys"
                mount --rbind /dev "$root/dev"
                # Two trees have the same process ids, after which Criterion names its shared memory.
                mount -t tmpfs tmpfs "$root/dev/shm"
                for file in resolv.conf hosts; do
                        rm -f "$root/etc/$file"
                        cat "/etc/$file" >"$root/etc/$file"
                done
                exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
                        DEBIAN_FRONTEND=noninteractive "$@"' in_root "$@"
}

image_build_base() {
        local out=$1 suite=$2 sources=$3 work=$1.work include
        include=$(IFS=, && printf '%s' "${IMAGE_PACKAGES[*]}")
        rm -rf "$work"
        mkdir "$work"
        host_apt_conf >"$work/apt.conf"
        printf '%s\n' "$sources" >"$work/sources.list"
        mkdir "$work/files"
        image_guest_files "$work/files"
        # shellcheck disable=SC2016 # for the hook's shell
        TMPDIR=$work mmdebstrap --mode=root --variant=minbase --format=tar --include="$include" \
                --aptopt="$work/apt.conf" \
                --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
                --dpkgopt=force-unsafe-io \
                --customize-hook="sync-in '$work/files' /" \
                --customize-hook='chroot "$1" systemctl enable lab.service' \
                "$suite" "$out" "$work/sources.list"
        rm -rf "$work"
}

# image_guest_files DIR: the lab's own files in a guest. What runs there comes with each boot on a
# disk of its own (guest/agent); here is only what starts it.
image_guest_files() {
        local dir=$1 unit
        mkdir -p "$dir"/etc/systemd/{system,journald.conf.d} "$dir/mnt/pmem" "$dir/usr/lib/modules"
        cat >"$dir/etc/systemd/system/lab.service" <<'END'
[Unit]
Description=The lab's script
After=multi-user.target

[Service]
ExecStart=/bin/sh -ec 'mkdir -p /run/lab; for d in /sys/block/vd*; do if [ "$(cat $d/serial)" = labjob ]; then tar -C /run/lab -xf /dev/$${d##*/}; fi; done; exec /run/lab/agent'
Environment=HOME=/root LANG=C.UTF-8 TERM=linux
WorkingDirectory=/root
OOMScoreAdjust=-900
OOMPolicy=continue
TasksMax=infinity
LimitCORE=0
StandardOutput=journal+console

[Install]
WantedBy=multi-user.target
END
        printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=64M\n' >"$dir/etc/systemd/journald.conf.d/lab.conf"
        echo lab >"$dir/etc/hostname"
        echo 6c61626c61626c61626c61626c61626c >"$dir/etc/machine-id"
        : >"$dir/etc/fstab"
        for unit in "${IMAGE_MASKED[@]}"; do
                ln -s /dev/null "$dir/etc/systemd/system/$unit"
        done
}

image_build_extra() {
        local out=$1 base=$2 work=$1.work
        shift 2
        image_unpack "$base" "$work"
        in_root "$work" apt-get update
        in_root "$work" apt-get -y install "$@"
        in_root "$work" apt-get clean
        rm "$work/usr/sbin/policy-rc.d"
        tar -C "$work" --numeric-owner --xattrs -cf "$out" .
        rm -rf "$work"
}

# image_unpack TAR DIR: unpack a layer, and let nothing that is installed in it be started.
image_unpack() {
        local tar=$1 dir=$2
        rm -rf "$dir"
        mkdir "$dir"
        tar -C "$dir" --numeric-owner --xattrs --xattrs-include='*' -xf "$tar"
        printf '#!/bin/sh\nexit 101\n' >"$dir/usr/sbin/policy-rc.d"
        chmod 755 "$dir/usr/sbin/policy-rc.d"
}

image_build_disk() {
        local out=$1 base=$2 debs=$3 work=$1.work unit
        image_unpack "$base" "$work"
        if [[ -d $debs ]]; then
                mkdir "$work/var/tmp/debs"
                cp "$debs"/*.deb "$work/var/tmp/debs/"
                # Our own documentation belongs to what is tested.
                find "$work/etc/dpkg/dpkg.cfg.d" -type f -exec sed -i '/^path-exclude/d' {} +
                # As users do: apt, with what the packages recommend.
                # shellcheck disable=SC2016 # for the inner shell
                local install='apt-get -y -o APT::Install-Recommends=true install /var/tmp/debs/*.deb'
                if ! in_root "$work" sh -c "$install"; then
                        in_root "$work" apt-get update
                        in_root "$work" sh -c "$install"
                fi
                rm -rf "$work/var/tmp/debs"
                cp -r "$debs/unit" "$work/usr/local/lib/daxtierd-unit"
                # Installed but not started: tests start what they test.
                for unit in "$work"/usr/lib/systemd/system/daxtier*.service; do
                        [[ -e $unit ]] || continue
                        in_root "$work" systemctl disable "${unit##*/}" || :
                done
        fi
        in_root "$work" apt-get clean
        rm -rf "$work"/usr/sbin/policy-rc.d "$work"/var/lib/apt/lists/* "$work"/etc/resolv.conf \
                "$work"/etc/apt/apt.conf.d/99mmdebstrap
        printf '127.0.0.1 localhost lab\n' >"$work/etc/hosts"
        mkfs.ext4 -q -O ^has_journal -m 0 -E lazy_itable_init=1 -d "$work" "$out" \
                "$(($(du -sm "$work" | cut -f1) * 6 / 5 + 2048))M"
        rm -rf "$work"
}
