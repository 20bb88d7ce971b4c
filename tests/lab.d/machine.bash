# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# One boot of a guest: the emulated machine, the way in for a script and the way out for its output
# and status. guest/agent is the other side.

# The machine has one node of DRAM with all processors, and two NVDIMMs, each in a node of its own.
# HMAT: nanoseconds and bytes per second, of the order that persistent memory on DDR-T has.
readonly NVDIMM_SIZE=1792M
readonly HMAT=(
        'target=0,data-type=read-latency,latency=80'
        'target=0,data-type=write-latency,latency=90'
        'target=0,data-type=read-bandwidth,bandwidth=100G'
        'target=0,data-type=write-bandwidth,bandwidth=80G'
        'target=1,data-type=read-latency,latency=300'
        'target=1,data-type=write-latency,latency=400'
        'target=1,data-type=read-bandwidth,bandwidth=30G'
        'target=1,data-type=write-bandwidth,bandwidth=10G'
        'target=2,data-type=read-latency,latency=310'
        'target=2,data-type=write-latency,latency=410'
        'target=2,data-type=read-bandwidth,bandwidth=31G'
        'target=2,data-type=write-bandwidth,bandwidth=11G'
)

# The second socket: DRAM and processors on node 3, an NVDIMM on node 4. What is on the other side is
# twice as far.
readonly SOCKET_DRAM=512
readonly SOCKET_HMAT=(
        'initiator=3,target=0,data-type=access-latency,latency=160'
        'initiator=3,target=1,data-type=access-latency,latency=600'
        'initiator=3,target=2,data-type=access-latency,latency=620'
        'initiator=3,target=3,data-type=access-latency,latency=80'
        'initiator=3,target=4,data-type=access-latency,latency=300'
        'initiator=0,target=3,data-type=access-latency,latency=160'
        'initiator=0,target=4,data-type=access-latency,latency=600'
)

# How long the guest may take to be up before something is wrong with the lab.
readonly BOOT_TIMEOUT=600

# Kernel messages that fail a run.
readonly DMESG_BAD='WARNING: |BUG: |kernel BUG |Oops|Call Trace:|general protection fault|Kernel panic|Out of memory|oom-kill:|invoked oom-killer|blocked for more than [0-9]+ seconds|possible (circular|recursive) locking|INFO: (possible|task|suspicious)|suspicious RCU usage|UBSAN:|KASAN:|KCSAN:|KFENCE:|Bad page|bad page|list_(add|del) corruption|refcount_t: |EXT4-fs error|XFS .*(orruption|Internal error)|Memory failure:|unchecked MSR access'

MACHINE_DIR=
MACHINE_PID=
MACHINE_TAILS=()
MACHINE_TTY=

# machine_accel KERNEL_DIR: sets REPLY to kvm or tcg. /dev/kvm may be there and not boot anything, so
# it is tried, once per boot of this machine.
machine_accel() {
        local kernel=$1 verdict console fd
        if [[ $OPT_ACCEL ]]; then
                REPLY=$OPT_ACCEL
                return
        fi
        REPLY=tcg
        [[ -w /dev/kvm ]] || return 0
        verdict=$LAB_CACHE/accel/$(cat /proc/sys/kernel/random/boot_id)
        exec {fd}>"$LAB_CACHE/lock/accel"
        flock "$fd"
        if [[ ! -e $verdict ]]; then
                rm -rf "$LAB_CACHE/accel"
                mkdir -p "$LAB_CACHE/accel"
                console=$(timeout -k 1 20 qemu-system-x86_64 -accel kvm -cpu host -M q35 -m 512M -nodefaults \
                        -display none -no-reboot -serial stdio -kernel "$kernel/vmlinuz" -initrd "$kernel/initrd" \
                        -append 'console=ttyS0 quiet panic=-1 lab.probe' </dev/null 2>&1) || :
                if [[ $console == *lab-probe-passed* ]]; then
                        echo kvm >"$verdict"
                else
                        say "KVM does not boot a guest here: emulating the processor"
                        echo tcg >"$verdict"
                fi
        fi
        exec {fd}>&-
        REPLY=$(<"$verdict")
}

# machine_prepare: a folder for this boot, gone when we are.
machine_prepare() {
        local stale fd
        # What a killed lab left.
        for stale in "$LAB_CACHE"/run/*/; do
                [[ -e $stale/lock ]] || continue
                exec {fd}<"$stale/lock"
                if flock --nonblock "$fd"; then
                        rm -rf "$stale"
                fi
                exec {fd}<&-
        done
        MACHINE_DIR=$(mktemp -d "$LAB_CACHE/run/XXXXXXXX")
        exec {MACHINE_LOCK}>"$MACHINE_DIR/lock.new"
        flock "$MACHINE_LOCK"
        mv "$MACHINE_DIR/lock.new" "$MACHINE_DIR/lock"
        mkdir "$MACHINE_DIR/job"
        on_exit machine_cleanup
}

machine_cleanup() {
        if [[ $MACHINE_PID ]]; then
                kill -KILL "$MACHINE_PID" 2>/dev/null || :
                wait "$MACHINE_PID" 2>/dev/null || :
        fi
        if ((${#MACHINE_TAILS[@]})); then
                kill "${MACHINE_TAILS[@]}" 2>/dev/null || :
        fi
        if [[ $MACHINE_TTY ]]; then
                stty "$MACHINE_TTY" || :
        fi
        if [[ $MACHINE_DIR ]]; then
                rm -rf "$MACHINE_DIR"
        fi
}

# machine_queue: wait until this machine has a processor for one more guest. More at once would be slow
# enough to run into the guests' own time limits.
machine_queue() {
        local guests=${LAB_GUESTS:-$(nproc)} slot fd told=
        while :; do
                for ((slot = 1; slot <= guests; slot++)); do
                        exec {fd}>"$LAB_CACHE/lock/guest-$slot"
                        # Held until this shell ends, or the guest does.
                        if flock --nonblock "$fd"; then
                                return
                        fi
                        exec {fd}>&-
                done
                if [[ ! $told ]]; then
                        say "waiting for one of the $guests guests that run here to be done (LAB_GUESTS)"
                        told=1
                fi
                sleep 0.5
        done
}

# machine_job KEY=VALUE…: what the agent in the guest shall do.
machine_job() {
        local assignment
        for assignment; do
                printf '%s=%q\n' "${assignment%%=*}" "${assignment#*=}"
        done >>"$MACHINE_DIR/job/job"
}

# machine_nodes MIB: append the NUMA nodes, with so much DRAM, and the NVDIMMs to args.
machine_nodes() {
        local dram=$1 cpus=$OPT_CPUS entry
        if [[ $OPT_SOCKETS == 2 ]]; then
                ((cpus % 2 == 0)) || die "--sockets 2 takes an even number of --cpus"
                dram=$((dram - SOCKET_DRAM))
                cpus=$((cpus / 2))
        fi
        # shellcheck disable=SC2054 # the commas are qemu's
        args+=(
                -object "memory-backend-ram,id=dram,size=${dram}M"
                -numa "node,nodeid=0,memdev=dram,cpus=0-$((cpus - 1))"
                -numa node,nodeid=1,initiator=0
                -numa node,nodeid=2,initiator=0
                -object "memory-backend-ram,id=pmem0,size=$NVDIMM_SIZE"
                -device nvdimm,id=nvdimm0,memdev=pmem0,node=1
                -object "memory-backend-ram,id=pmem1,size=$NVDIMM_SIZE"
                -device nvdimm,id=nvdimm1,memdev=pmem1,node=2
        )
        if [[ $OPT_SOCKETS == 2 ]]; then
                # shellcheck disable=SC2054
                args+=(
                        -object "memory-backend-ram,id=dram1,size=${SOCKET_DRAM}M"
                        -numa "node,nodeid=3,memdev=dram1,cpus=$cpus-$((OPT_CPUS - 1))"
                        -numa node,nodeid=4,initiator=3
                        -object "memory-backend-ram,id=pmem2,size=$NVDIMM_SIZE"
                        -device nvdimm,id=nvdimm2,memdev=pmem2,node=4
                )
        fi
        for entry in "${HMAT[@]}"; do
                args+=(-numa "hmat-lb,initiator=0,hierarchy=memory,$entry")
        done
        [[ $OPT_SOCKETS == 1 ]] || for entry in "${SOCKET_HMAT[@]}"; do
                args+=(-numa "hmat-lb,hierarchy=memory,$entry")
        done
}

# machine_boot KERNEL_DIR IMAGE [DATA]: start the guest. DATA is a folder to copy into it.
machine_boot() {
        local kernel=$1 image=$2 data=${3:-} accel cpu smp=$OPT_CPUS args unit entry fd
        machine_accel "$kernel"
        accel=$REPLY

        unit=1
        [[ $OPT_MEM != *G ]] || unit=1024

        # DAMON and other readers of accessed bits need the TLB flushed at each switch to user space.
        cpu=max,-pcid
        [[ $accel == tcg ]] || cpu=host,-pcid

        # Linux expects the processors of one socket on one node.
        [[ $OPT_SOCKETS == 1 ]] || smp+=",sockets=2,cores=$((OPT_CPUS / 2)),threads=1"

        cp -r "$LAB_PARTS"/guest/. "$MACHINE_DIR/job/"
        machine_job "fs=$OPT_FS" "swap=$OPT_SWAP"
        tar -C "$MACHINE_DIR/job" --owner=0 --group=0 -cf "$MACHINE_DIR/job.tar" .
        if [[ $data ]]; then
                tar -C "$data" --owner=0 --group=0 --exclude-vcs --exclude=./build -cf "$MACHINE_DIR/data.tar" .
        else
                : | tar -cf "$MACHINE_DIR/data.tar" -T -
        fi
        : >"$MACHINE_DIR/status"
        : >"$MACHINE_DIR/console"
        : >"$MACHINE_DIR/kmsg"
        : >"$MACHINE_DIR/out"
        : >"$MACHINE_DIR/err"

        # shellcheck disable=SC2054 # the commas are qemu's
        args=(
                -name lab -nodefaults -display none -no-reboot -no-user-config
                -accel "$accel" -cpu "$cpu" -smp "$smp"
                -machine q35,nvdimm=on,hmat=on
                -m "size=$OPT_MEM,slots=4,maxmem=$((${OPT_MEM%[MG]} * unit + 6144))M"
                -device virtio-rng-pci
                -device virtio-serial-pci
                -serial "file:$MACHINE_DIR/console"
                -kernel "$kernel/vmlinuz" -initrd "$kernel/initrd"
                -append "console=ttyS0 loglevel=5 panic=-1 pti=on log_buf_len=4M rcupdate.rcu_cpu_stall_suppress=1 nosoftlockup syscall.x32=y systemd.show_status=no systemd.default_timeout_start_sec=300 systemd.default_device_timeout_sec=300"
        )
        machine_nodes "$((${OPT_MEM%[MG]} * unit))"
        machine_disk root "$image" on
        machine_disk kernel "$kernel/modules.img" off,readonly=on
        machine_disk job "$MACHINE_DIR/job.tar" off,readonly=on
        machine_disk data "$MACHINE_DIR/data.tar" off,readonly=on
        if [[ $OPT_SWAP ]]; then
                truncate -s "$OPT_SWAP" "$MACHINE_DIR/swap"
                machine_disk swap "$MACHINE_DIR/swap" off
        fi
        exec {fd}<&0
        if [[ -e $MACHINE_DIR/interactive ]]; then
                # shellcheck disable=SC2054
                args+=(-chardev stdio,id=tty,signal=off -device virtconsole,chardev=tty,nr=0)
        else
                exec {fd}</dev/null
        fi
        for entry in status kmsg out err; do
                args+=(-chardev "file,id=$entry,path=$MACHINE_DIR/$entry,append=on"
                        -device "virtserialport,chardev=$entry,name=lab.$entry")
        done
        TMPDIR=$MACHINE_DIR setpriv --pdeathsig KILL -- \
                qemu-system-x86_64 "${args[@]}" <&"$fd" 2>"$MACHINE_DIR/qemu" &
        MACHINE_PID=$!
        exec {fd}<&-
}

# machine_disk NAME FILE SNAPSHOT: append a disk to args. The guest finds it by its serial.
machine_disk() {
        args+=(-drive "if=none,id=$1,file=$2,format=raw,cache=unsafe,snapshot=$3"
                -device "virtio-blk-pci,drive=$1,serial=lab$1")
}

# machine_alive: is the guest still there? (A process we have not waited for yet is not.)
machine_alive() {
        local stat
        # Not $(<file): a read that fails, as of a process that has just gone, ends the whole shell.
        { read -r stat <"/proc/$MACHINE_PID/stat"; } 2>/dev/null || return 1
        [[ ${stat##*) } != Z* ]]
}

# machine_stream: pass on what the guest's script writes, as it comes.
machine_stream() {
        tail --pid="$MACHINE_PID" -s 0.1 -c +1 -f "$MACHINE_DIR/out" 2>/dev/null &
        MACHINE_TAILS+=($!)
        tail --pid="$MACHINE_PID" -s 0.1 -c +1 -f "$MACHINE_DIR/err" >&2 2>/dev/null &
        MACHINE_TAILS+=($!)
}

# machine_wait TIMEOUT: wait for the guest to be done. Sets REPLY to the script's exit status, or to
# died, timeout, or a sentence that begins with "lab:".
machine_wait() {
        local limit=$1 deadline=$((SECONDS + BOOT_TIMEOUT)) ready='' line
        local status=$MACHINE_DIR/status
        REPLY=died
        while :; do
                if [[ ! $ready ]] && grep -q '^ready$' "$status"; then
                        ready=1
                        deadline=$((SECONDS + limit))
                fi
                if grep -q '^end$' "$status"; then
                        break
                fi
                if ! machine_alive; then
                        break
                fi
                if [[ $limit != 0 || ! $ready ]] && ((SECONDS >= deadline)); then
                        REPLY=timeout
                        break
                fi
                sleep 0.1
        done
        while read -r line; do
                case $line in
                exit\ *) REPLY=${line#exit } ;;
                failed\ *) REPLY="lab: the guest could not be set up: ${line#failed }" ;;
                esac
        done <"$status"
        if [[ $REPLY == timeout && ! $ready ]]; then
                REPLY="lab: the guest was not up after $BOOT_TIMEOUT s"
        elif [[ $REPLY == died && ! $ready && -s $MACHINE_DIR/qemu ]]; then
                REPLY="lab: $(<"$MACHINE_DIR/qemu")"
        fi
        kill -KILL "$MACHINE_PID" 2>/dev/null || :
        wait "$MACHINE_PID" 2>/dev/null || :
        MACHINE_PID=
        # They end by themselves, having passed on all there is.
        ((${#MACHINE_TAILS[@]} == 0)) || wait "${MACHINE_TAILS[@]}" || :
        MACHINE_TAILS=()
}

# machine_warnings: print the kernel messages that fail a run. A guest that died has only its console.
machine_warnings() {
        local log=$MACHINE_DIR/kmsg
        [[ -s $log ]] || log=$MACHINE_DIR/console
        if [[ $OPT_ALLOW_DMESG ]]; then
                grep -aE "$DMESG_BAD" "$log" | grep -avE "$OPT_ALLOW_DMESG"
        else
                grep -aE "$DMESG_BAD" "$log"
        fi | tr -d '\r' | head -n 40
}

# machine_verdict: say what became of the run, and exit accordingly. REPLY is machine_wait's.
machine_verdict() {
        local result=$REPLY warnings
        warnings=$(machine_warnings) || :
        case $result in
        lab:*)
                machine_show_console
                die "${result#lab: }"
                ;;
        died)
                if [[ $warnings ]]; then
                        printf '%s\n' "$warnings" | sed 's/^/    /' >&2
                        say "the guest died before the script was done: its kernel says the above"
                else
                        machine_show_console
                        say "the guest went down before the script was done"
                fi
                exit "$EXIT_DIED"
                ;;
        timeout)
                [[ ! $warnings ]] || printf '%s\n' "$warnings" | sed 's/^/    /' >&2
                # shellcheck disable=SC2153 # set in options.bash
                say "the script was not done after $OPT_TIMEOUT s (--timeout)"
                exit "$EXIT_TIMEOUT"
                ;;
        esac
        if [[ $warnings ]]; then
                printf '%s\n' "$warnings" | sed 's/^/    /' >&2
                say "the guest's kernel warned: the above is in its log (--allow-dmesg REGEX if expected)"
                ((result != 0)) || result=$EXIT_WARNED
        fi
        exit "$result"
}

machine_show_console() {
        tail -n 20 "$MACHINE_DIR/console" | tr -d '\r' | sed 's/^/    /' >&2
}

# machine_run KERNEL DATA JOB…: boot a guest with a copy of the folder DATA, have it do the job, stream
# its output and exit as it did.
machine_run() {
        local kernel=$1 data=$2 kernel_dir image
        shift 2
        host_setup
        kernel_get "$kernel"
        kernel_dir=$REPLY
        image_get "$(kernel_suite "$kernel")" "${OPT_PACKAGES[@]}"
        image=$REPLY
        machine_queue
        machine_prepare
        machine_job "$@"
        # One stream if they go to one place, so that their order is kept.
        if [[ /proc/self/fd/1 -ef /proc/self/fd/2 ]]; then
                machine_job merge=1
        fi
        machine_boot "$kernel_dir" "$image" "$data"
        machine_stream
        machine_wait "$OPT_TIMEOUT"
        machine_verdict
}

# machine_script FOLDER SCRIPT [ARG…]: `run` of a script of this folder of tests, with the packages that
# a file beside it lists.
machine_script() {
        local folder=$LAB_PARTS/../$1 script=$2 packages kernel package
        shift 2
        options_one_kernel
        kernel=$REPLY
        [[ -f $folder/$script ]] || die "there is no $folder/$script: nothing to run"
        packages=$(dirname "$folder/$script")/packages
        if [[ -f $packages ]]; then
                while read -r package; do
                        OPT_PACKAGES+=("$package")
                done < <(grep -vE '^(#|$)' "$packages")
        fi
        machine_run "$kernel" "$(readlink -f "$folder")" mode=run "script=$script" "args=$(printf '%q ' "$@")"
}

command_demo() {
        options_parse "$@"
        ((${#OPT_REST[@]} == 0)) || wrong_usage "demo takes no argument but options"
        machine_script e2e demo/run.sh
}

command_run() {
        local script kernel
        options_parse "$@"
        set -- "${OPT_REST[@]}"
        (($# >= 1)) || wrong_usage "run needs a script"
        options_one_kernel
        kernel=$REPLY
        [[ -f $1 ]] || wrong_usage "there is no file '$1'"
        script=$(readlink -f "$1")
        shift
        machine_run "$kernel" "$(dirname "$script")" mode=run "script=${script##*/}" "args=$(printf '%q ' "$@")"
}

command_shell() {
        local kernel kernel_dir image
        options_parse "$@"
        ((${#OPT_REST[@]} == 0)) || wrong_usage "shell takes no argument"
        options_one_kernel
        kernel=$REPLY
        host_setup
        kernel_get "$kernel"
        kernel_dir=$REPLY
        image_get "$(kernel_suite "$kernel")" "${OPT_PACKAGES[@]}"
        image=$REPLY
        machine_prepare
        : >"$MACHINE_DIR/interactive"
        machine_job mode=shell "term=${TERM:-dumb}"
        if [[ -t 0 ]]; then
                MACHINE_TTY=$(stty -g)
                machine_job "size=$(stty size)"
        fi
        say "booting; leave the shell to power the guest off"
        machine_boot "$kernel_dir" "$image"
        machine_wait 0
        machine_verdict
}
