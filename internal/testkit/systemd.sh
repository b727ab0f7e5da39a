# Process 1 of the machine in $1: builds its file system and turns into systemd.
# The mount, PID, control group, IPC and UTS namespaces are new already. What is
# written to the file system is kept in memory and ends with the namespace.
set -eu
dir=$1
mount --make-rprivate /
mount -t tmpfs tmpfs "$dir/memory"
cd "$dir/memory"
mkdir root upper work
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/memory/upper,workdir=$dir/memory/work" root
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp

# No unit but those of the machine, and no settings but those of the test.
for d in etc/systemd usr/lib/systemd/system usr/lib/systemd/system-generators etc/kuryr var/lib/kuryr; do
	mkdir -p "$d"
	mount -t tmpfs -o mode=755 tmpfs "$d"
done
mkdir -p ".$dir" run/docker/plugins run/kuryr run/openvswitch usr/bin old etc/systemd/system
mount --bind "$dir" ".$dir"
mount --bind "$dir/plugins" run/docker/plugins
mount --bind "$dir/run" run/kuryr
mount --bind "$dir/openvswitch" run/openvswitch
cp -r "$dir/units/." usr/lib/systemd/system/
cp -r --preserve=mode "$dir/files/." .
cp "$dir/kuryr.conf" etc/kuryr/kuryr.conf
install -m 755 "$dir/kuryr" usr/bin/kuryr

pivot_root . old
cd /
umount -l /old
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=kuryrlab \
	/lib/systemd/systemd --system --unit=multi-user.target --log-target=console --log-level=info --show-status=no
