# A round of TestSoak: real programs work, and a line for each says what they made.
# It runs in /tmp/w; what it reads is in /bench.
export PATH=/usr/bin:/bin LC_ALL=C PYTHONHASHSEED=0
made() { sum=$(sha256sum); echo "$1: ${sum%% *}"; }

# Compile, link, run.
gcc-12 -O2 -save-temps -o prog /bench/main.c /bench/work.c
made "compiler's output" <prog-work.s
made "program" <prog
./prog | made "program's output"

# Compress, decompress.
for c in "gzip -6 -n" "xz -1 -T1" "zstd -q -5 --single-thread"; do
	$c -c <text >packed
	made "$c" <packed
	${c%% *} -d -c <packed >unpacked
	[ "$(sha256sum <unpacked)" = "$(sha256sum <text)" ] || echo "$c: decompressed it differs"
done

# Hash, sort, search.
for h in md5sum sha1sum sha256sum sha512sum b2sum cksum; do
	echo "$h: $($h text)"
done
sort -u text | made "sort"
echo "grep: $(grep -c -E '(foo|ba[rz]+|[aeiou]{3})[a-z]*ing' text)"

# Fork and exec, pipes.
i=0
while [ $i -lt 40 ]; do
	i=$((i + 1))
	echo $i | cat | grep .
done | made "pipelines"
bash -c 'for ((i = 0; i < 100; i++)); do /bin/true || echo $i; done; for ((i = 0; i < 200; i++)); do (exit $((i % 7))); echo $?; done' | made "processes"

# Languages, one of them with a translator of its own.
echo "python: $(python3.11 -S -E -B /bench/work.py 1)"
echo "perl: $(perl /bench/work.pl 1)"
echo "lua: $(lua5.4 /bench/work.lua 1)"
echo "luajit: $(luajit /bench/work.lua 3)"
echo "bash: $(bash /bench/work.sh 2000)"
