# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# A kernel of the guest: Debian's own, unpacked into vmlinuz, a small initrd and a disk of modules,
# so that one guest image serves several kernels.

# shellcheck disable=SC2034 # for options.bash and test.bash
readonly LAB_KERNELS=(6.1 6.12 7.3)

# kernel_suite KERNEL: the Debian release whose guest runs it.
kernel_suite() {
        case $1 in
        6.1) echo bookworm ;;
        6.12 | 7.3) echo trixie ;;
        esac
}

# kernel_release KERNEL: the part of the archive it is taken from.
kernel_release() {
        case $1 in
        6.1) echo bookworm ;;
        6.12) echo trixie ;;
        7.3) echo trixie-backports ;;
        esac
}

# kernel_get KERNEL: sets REPLY to a folder with vmlinuz, initrd, modules.img and version.
kernel_get() {
        local kernel=$1 release sources
        release=$(kernel_release "$kernel")
        sources=$(kernel_sources "$release")
        cache_get kernel "$kernel" "$sources $(declare -f kernel_initrd kernel_init)" \
                "fetching the kernel of $release" kernel_build "$release" "$sources"
}

kernel_sources() {
        local release=$1 REPLY
        host_sources "${release%-backports}"
        if [[ $release == *-backports ]]; then
                REPLY=$(host_archive)
                printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$REPLY" "$release"
        fi
}

kernel_build() {
        local out=$1 release=$2 sources=$3 work=$1/work apt queue package depends version
        local -A seen=()
        mkdir -p "$work"/{etc/apt/{preferences.d,apt.conf.d},state/lists/partial,cache/archives/partial,tree}
        cd "$work" || return

        # An apt of its own, so that this machine's lists and pins stay as they are.
        printf '%s\n' "$sources" >etc/apt/sources.list
        : >state/status
        {
                host_apt_conf
                printf 'Dir "%s";\n' "$work"
                printf 'Dir::%s "%s";\n' State "$work/state" State::status "$work/state/status" \
                        Cache "$work/cache" Etc "$work/etc/apt" Etc::trusted /dev/null Etc::trustedparts /dev/null
                printf 'APT::Architecture "amd64"; APT::Architectures { "amd64"; };\n'
        } >apt.conf
        export APT_CONFIG=$work/apt.conf
        apt=(apt-get -y)
        "${apt[@]}" update

        # The meta package leads to the release's current kernel: packages of the same version.
        queue=("linux-image-amd64/$release")
        while ((${#queue[@]})); do
                package=${queue[0]}
                queue=("${queue[@]:1}")
                mkdir deb
                (cd deb && "${apt[@]}" download "$package")
                dpkg-deb -x deb/*.deb tree
                depends=$(dpkg-deb -f deb/*.deb Depends)
                rm -r deb
                while read -r package; do
                        [[ ! ${seen[$package]:-} ]] || continue
                        seen[$package]=1
                        queue+=("$package")
                done < <(grep -oE 'linux-[^ ,]+ \(= [^)]+\)' <<<"$depends" | sed -E 's/ \(= (.*)\)/=\1/')
        done
        mkdir -p tree/lib/modules
        if [[ -d tree/usr/lib/modules ]]; then
                mv tree/usr/lib/modules/* tree/lib/modules/
        fi
        version=$(basename tree/lib/modules/*)
        depmod -b "$work/tree" "$version"

        # Debian 13-backports' kernel is no longer in /boot.
        if [[ -e tree/boot/vmlinuz-$version ]]; then
                cp "tree/boot/vmlinuz-$version" "$out/vmlinuz"
        else
                mv "tree/lib/modules/$version/vmlinuz" "$out/vmlinuz"
        fi
        kernel_initrd "$work" "$version" "$out/initrd"
        printf '%s\n' "$version" >"$out/version"
        mkfs.ext4 -q -O ^has_journal -m 0 -d "tree/lib/modules" "$out/modules.img" \
                "$(($(du -sm tree/lib/modules | cut -f1) * 6 / 5 + 32))M"
        cd "$out" || return
        rm -rf "$work"
}

# kernel_initrd WORK VERSION OUT: busybox, the modules that reach the disks, and kernel_init.
kernel_initrd() {
        local work=$1 version=$2 out=$3 dir=$1/initrd path name kind
        mkdir -p "$dir"/{bin,dev,proc,sys,root,modules}
        cp "$(command -v busybox)" "$dir/bin/busybox"
        : >"$dir/modules/order"
        for name in virtio_pci virtio_blk ext4; do
                while read -r kind path _; do
                        [[ $kind == insmod ]] || continue
                        name=${path##*/}
                        name=${name%%.ko*}
                        ! grep -qx "$name" "$dir/modules/order" || continue
                        case $path in
                        *.xz) xz -dc "$path" >"$dir/modules/$name.ko" ;;
                        *.zst) zstd -qdc "$path" >"$dir/modules/$name.ko" ;;
                        *) cp "$path" "$dir/modules/$name.ko" ;;
                        esac
                        printf '%s\n' "$name" >>"$dir/modules/order"
                done < <(modprobe -d "$work/tree" -S "$version" --show-depends "$name")
        done
        kernel_init >"$dir/init"
        chmod +x "$dir/init"
        (cd "$dir" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 >"$out"
}

kernel_init() {
        cat <<'END'
#!/bin/busybox sh
bb() { /bin/busybox "$@"; }
bb mount -t proc proc /proc
bb mount -t sysfs sys /sys
bb mount -t devtmpfs dev /dev
if bb grep -q lab.probe /proc/cmdline; then
        echo lab-probe-passed >/dev/console
        bb poweroff -f
fi
while read -r module; do
        bb insmod "/modules/$module.ko"
done </modules/order
disk() {
        while :; do
                for d in /sys/block/vd*; do
                        if [ "$(bb cat "$d/serial" 2>/dev/null)" = "$1" ]; then
                                echo "/dev/${d##*/}"
                                return
                        fi
                done
                bb sleep 0.1
        done
}
bb mount -t ext4 -o noatime "$(disk labroot)" /root
bb mount -t ext4 -o ro "$(disk labkernel)" /root/usr/lib/modules
bb umount /proc
bb umount /sys
bb umount /dev
exec /bin/busybox switch_root /root /sbin/init
END
}
