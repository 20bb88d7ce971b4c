# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034
#
# The options that all commands share. (Their values are used by the other parts.)

OPT_KERNELS=()
OPT_PACKAGES=()
OPT_FS=ext4
OPT_MEM=2G
OPT_CPUS=2
OPT_SOCKETS=1
OPT_SWAP=
OPT_TIMEOUT=600
OPT_ALLOW_DMESG=
OPT_ACCEL=
OPT_BARE=
OPT_REST=()

# options_parse ARG…: fills OPT_*; what follows the options is in OPT_REST.
options_parse() {
        local name value
        while (($#)); do
                case $1 in
                --)
                        shift
                        break
                        ;;
                -h | --help)
                        usage
                        exit 0
                        ;;
                --bare)
                        OPT_BARE=1
                        shift
                        continue
                        ;;
                --*=*)
                        name=${1%%=*} value=${1#*=}
                        shift
                        ;;
                --*)
                        (($# >= 2)) || wrong_usage "$1 needs a value"
                        name=$1 value=$2
                        shift 2
                        ;;
                *) break ;;
                esac
                options_set "$name" "$value"
        done
        OPT_REST=("$@")
}

options_set() {
        local name=$1 value=$2
        case $name in
        --kernel)
                options_check "$name" "$value" '6\.1|6\.12|7\.3' "${LAB_KERNELS[*]}"
                OPT_KERNELS+=("$value")
                ;;
        --package)
                options_check "$name" "$value" '[a-z0-9][a-z0-9+.-]+' 'the name of a Debian package'
                OPT_PACKAGES+=("$value")
                ;;
        --fs)
                options_check "$name" "$value" 'ext4|xfs' 'ext4 or xfs'
                OPT_FS=$value
                ;;
        --mem)
                options_check "$name" "$value" '[1-9][0-9]*[MG]' 'a size such as 2G or 1536M'
                OPT_MEM=$value
                ;;
        --cpus)
                options_check "$name" "$value" '[1-9][0-9]?' 'a number of processors'
                OPT_CPUS=$value
                ;;
        --sockets)
                options_check "$name" "$value" '1|2' '1 or 2'
                OPT_SOCKETS=$value
                ;;
        --swap)
                options_check "$name" "$value" '[1-9][0-9]*[MG]' 'a size such as 1G or 512M'
                OPT_SWAP=$value
                ;;
        --timeout)
                options_check "$name" "$value" '[1-9][0-9]*' 'a number of seconds'
                OPT_TIMEOUT=$value
                ;;
        --allow-dmesg)
                OPT_ALLOW_DMESG=${OPT_ALLOW_DMESG:+$OPT_ALLOW_DMESG|}$value
                ;;
        --accel)
                options_check "$name" "$value" 'kvm|tcg' 'kvm or tcg'
                OPT_ACCEL=$value
                ;;
        *) wrong_usage "unknown option '$name'" ;;
        esac
}

# options_check NAME VALUE REGEX EXPECTED
options_check() {
        [[ $2 =~ ^($3)$ ]] || wrong_usage "$1 takes $4, not '$2'"
}

# options_one_kernel: for commands that boot one guest. Sets REPLY.
options_one_kernel() {
        ((${#OPT_KERNELS[@]} <= 1)) || wrong_usage "--kernel can be given only once here"
        REPLY=${OPT_KERNELS[0]:-6.12}
}
