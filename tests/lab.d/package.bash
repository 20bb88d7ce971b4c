# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# This tree's Debian packages, built from a copy of the tree in a chroot of the guest's release.

# package_files: the tree's files that the packages are made of, NUL-separated: what git would
# commit now, without what the packages cannot depend on.
package_files() {
        cd "$LAB_TREE" || return
        {
                if [[ -e .git ]]; then
                        # The tree may belong to someone else than root.
                        git -c safe.directory="$LAB_TREE" ls-files -z --cached --others --exclude-standard
                else
                        find . -type f ! -path './build*' -printf '%P\0'
                fi
        } | grep -zvE '^(tests/(lab$|lab\.d/|e2e/|bench/)|\.ci/|\.github/)' | sort -zu |
                while IFS= read -r -d '' file; do
                        # Deleted but still in git's index.
                        [[ ! -e $file && ! -L $file ]] || printf '%s\0' "$file"
                done
}

# package_get SUITE: sets REPLY to a folder of .deb files and, in unit/, the unit tests that were built
# with them.
package_get() {
        local suite=$1 key
        # shellcheck disable=SC2153 # LAB_TREE is set in tests/lab
        [[ ! $OPT_BARE && -e $LAB_TREE/debian/control ]] || {
                REPLY=
                return
        }
        host_need git
        key=$(package_files | (cd "$LAB_TREE" && tar -c --null -T - --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner) | hash_text)
        chroot_get "$suite"
        cache_get package "$suite" "$key" "building the packages for $suite" package_build "$suite" "$REPLY"
}

# chroot_get SUITE: sets REPLY to a tar of a Debian tree with what debian/control needs to build.
chroot_get() {
        local suite=$1 sources depends
        sources=$(host_sources "$suite")
        depends=$(sed -nE '/^$/q; /^Build-Depends/,/^[^ \t#B]/p' "$LAB_TREE/debian/control")
        cache_get chroot "$suite" "$sources $depends $(declare -f host_apt_conf in_root)" \
                "making the $suite build chroot" chroot_build "$suite" "$sources"
}

chroot_build() {
        local out=$1 suite=$2 sources=$3 work=$1.work
        rm -rf "$work"
        mkdir -p "$work"/{src/debian,tmp}
        cp "$LAB_TREE/debian/control" "$work/src/debian/"
        host_apt_conf >"$work/apt.conf"
        printf '%s\n' "$sources" >"$work/sources.list"
        # shellcheck disable=SC2016 # for the hook's shell
        TMPDIR=$work/tmp mmdebstrap --mode=root --variant=buildd --format=tar \
                --aptopt="$work/apt.conf" --dpkgopt=force-unsafe-io \
                --customize-hook='mkdir -p "$1/build/src"' \
                --customize-hook="sync-in '$work/src' /build/src" \
                --customize-hook='chroot "$1" sh -c "cd /build/src && apt-get -y build-dep ./"' \
                --customize-hook='rm -rf "$1/build/src"' \
                "$suite" "$out" "$work/sources.list"
        rm -rf "$work"
}

package_build() {
        local out=$1 suite=$2 chroot=$3 work=$1.work
        rm -rf "$work"
        mkdir -p "$work" "$out"
        tar -C "$work" --numeric-owner -xf "$chroot"
        mkdir -p "$work/build/src"
        package_files | (cd "$LAB_TREE" && tar -c --null -T -) |
                tar -C "$work/build/src" --no-same-owner -x
        # `tests/lab test` runs the unit tests itself, once; here they are only built.
        in_root "$work" sh -ec 'cd /build/src && DEB_BUILD_OPTIONS=nocheck dpkg-buildpackage --build=binary --no-sign'
        cp "$work"/build/*.deb "$out/"
        rm -f "$out"/*-dbgsym_*.deb
        # For end-to-end tests that run unit tests on the guest's kernel.
        mkdir "$out/unit"
        find "$work"/build/src/obj-*/tests/unit -maxdepth 1 -type f -perm -u+x ! -name '*.so' -exec cp -t "$out/unit" {} +
        rm -rf "$work"
}
