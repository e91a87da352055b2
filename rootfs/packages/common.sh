# Sourced before every rootfs/packages/NAME/build: compiler, flags and small helpers for both flavours.
# A change here rebuilds all packages (the file is part of their hashes).

MAPS="-ffile-prefix-map=$WORK=."
HARDEN="-fstack-protector-strong -fstack-clash-protection -fcf-protection"
case $FLAVOUR in
host | any)
	CC=gcc
	CFLAGS="-O2 -g -fPIC $MAPS"
	LDFLAGS=""
	;;
target)
	CC=$SYSROOT/bin/skerry-cc
	CFLAGS="-O2 -fPIE -ffunction-sections -fdata-sections $HARDEN $MAPS"
	LDFLAGS="-Wl,--gc-sections,-z,relro,-z,now,-z,noexecstack,--build-id=none"
	;;
esac
AR=ar RANLIB=ranlib
CPPFLAGS="-I$DEPS/include"
LDLIBDIR="-L$DEPS/lib"
export CC AR RANLIB CFLAGS CPPFLAGS
export ZERO_AR_DATE=1

# archive NAME FLAGS FILE...: compiles C files and puts the objects into $OUT/lib/NAME.
archive() {
	local name=$1 flags=$2 objects=$WORK/objects-$1
	shift 2
	mkdir -p "$objects" "$OUT/lib"
	# shellcheck disable=SC2016 # the inner shell expands these
	# Objects are named after the whole path, so that two files of one name do not collide.
	printf '%s\n' "$@" | sort | CFLAGS="$CFLAGS $CPPFLAGS $flags" xargs -P "$JOBS" -I{} sh -ec '
		$CC $CFLAGS -c "$1" -o "$2/$(echo "${1%.*}" | tr / _).o"' sh {} "$objects"
	$AR rcsD "$OUT/lib/$name" "$objects"/*.o
}

# headers FILE...: installs headers into $OUT/include.
headers() {
	install -D -m 644 -t "$OUT/include" "$@"
}

# configured ARGUMENT...: a quiet static-only autoconf configure for the flavour.
configured() {
	local host=()
	[ "$FLAVOUR" != target ] || host=(--host=x86_64-linux-musl --build=x86_64-linux-gnu)
	./configure --prefix=/usr --disable-shared --enable-static "${host[@]}" "$@"
}
