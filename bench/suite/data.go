package suite

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
)

// Inputs are the files that workloads read, in the agent's directory. They are
// the same in every run.
func Inputs() map[string][]byte {
	return map[string][]byte{
		"text":     prose(4 << 20),
		"work.py":  []byte(pythonWork),
		"work.pl":  []byte(perlWork),
		"work.lua": []byte(luaWork),
		"work.awk": []byte(awkWork),
		"work.sh":  []byte(bashWork),
		"work.sql": []byte(sqlWork),
		"work.js":  []byte(nodeWork),
		"work.c":   cWork(),
		"rsa.pem":  rsaKey(),
	}
}

// random is xorshift64*.
type random uint64

func (r *random) next() uint64 {
	*r ^= *r >> 12
	*r ^= *r << 25
	*r ^= *r >> 27
	return uint64(*r) * 0x2545f4914f6cdd1d
}

// prose is size bytes of made-up words, frequent ones more often, in sentences
// and lines: it compresses about as text does.
func prose(size int) []byte {
	r := random(1)
	syllables := strings.Fields("a an ar ba be bo ca ce co da de di do e el en er fi fo ga go ha he hi i in ing ion is it ka la le li lo ma me mi mo na ne no o on or pa pe po ra re ri ro sa se si so sta ta te ti to tra u un ve vi wa we wi zo")
	words := make([]string, 4000)
	for i := range words {
		n := 1 + int(r.next()%3)
		if i > 200 {
			n++
		}
		for range n {
			words[i] += syllables[r.next()%uint64(len(syllables))]
		}
	}
	var b bytes.Buffer
	column, start := 0, true
	for b.Len() < size {
		// The square makes low numbers frequent.
		f := float64(r.next()>>11) / (1 << 53)
		w := words[int(f*f*f*float64(len(words)))]
		if start {
			w = strings.ToUpper(w[:1]) + w[1:]
		}
		start = r.next()%12 == 0
		if start {
			w += "."
		} else if r.next()%9 == 0 {
			w += ","
		}
		b.WriteString(w)
		if column += len(w) + 1; column > 72 {
			b.WriteByte('\n')
			column = 0
		} else {
			b.WriteByte(' ')
		}
	}
	out := b.Bytes()[:size]
	out[size-1] = '\n'
	return out
}

// rsaKey is a private key that needs no random numbers: its factors are the
// Mersenne primes 2^2203-1 and 2^2281-1 (RFC 8017, A.1.2).
func rsaKey() []byte {
	one, e := big.NewInt(1), big.NewInt(65537)
	mersenne := func(n uint) *big.Int { return new(big.Int).Sub(new(big.Int).Lsh(one, n), one) }
	p, q := mersenne(2281), mersenne(2203)
	p1, q1 := new(big.Int).Sub(p, one), new(big.Int).Sub(q, one)
	d := new(big.Int).ModInverse(e, new(big.Int).Mul(p1, q1))
	der, err := asn1.Marshal(struct {
		Version                            int
		N, E, D, P, Q, Dp, Dq, Coefficient *big.Int
	}{0, new(big.Int).Mul(p, q), e, d, p, q, new(big.Int).Mod(d, p1), new(big.Int).Mod(d, q1), new(big.Int).ModInverse(q, p)})
	if err != nil {
		panic(err) // integers can be encoded
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der})
}

const pythonWork = `import sys
class Node:
    __slots__ = ("key", "left", "right")
    def __init__(self, key):
        self.key = key
        self.left = self.right = None
def insert(root, key):
    while True:
        if key < root.key:
            if root.left is None:
                root.left = Node(key)
                return
            root = root.left
        else:
            if root.right is None:
                root.right = Node(key)
                return
            root = root.right
def depth(n):
    return 0 if n is None else 1 + max(depth(n.left), depth(n.right))
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
total = 0
for turn in range(int(sys.argv[1])):
    x = turn + 1
    root = Node(1 << 30)
    count = {}
    for i in range(6000):
        x = (x * 1103515245 + 12345) & 0x7fffffff
        insert(root, x)
        w = "k%d" % (x % 997)
        count[w] = count.get(w, 0) + 1
    text = " ".join(sorted(count, key=lambda k: (-count[k], k)))
    sieve = bytearray([1]) * 60000
    for i in range(2, 245):
        if sieve[i]:
            sieve[i * i::i] = bytes(len(range(i * i, 60000, i)))
    total += depth(root) + fib(18) + sum(sieve) + len(text.replace("k1", "x").split())
    total += sum(a * b for a, b in zip(range(20000), range(20000, 0, -1))) % 1000003
print(total)
`

const perlWork = `use strict;
my ($total, %count) = (0);
for my $turn (1 .. $ARGV[0]) {
    my $x = $turn;
    my @list;
    for my $i (1 .. 12000) {
        $x = ($x * 1103515245 + 12345) & 0x7fffffff;
        my $w = sprintf("w%dx%d", $x % 997, $i % 13);
        $count{$w}++;
        push @list, $w if $w =~ /^w(\d)\1?(\d*)x[135]$/;
    }
    my $text = join(" ", sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count);
    my $n = () = $text =~ /(\d+)x(\d+)/g;
    (my $t = $text) =~ tr/0-9/a-j/;
    $t =~ s/(\w)x(\w)/$2x$1/g;
    $total += $n + scalar(@list) + length($t) + unpack("%32C*", $t);
}
print "$total\n";
`

const luaWork = `local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
local total = 0
for turn = 1, tonumber(arg[1]) do
  local x, count, list = turn, {}, {}
  for i = 1, 10000 do
    x = (x * 16807) % 2147483647
    local k = "k" .. (x % 997)
    count[k] = (count[k] or 0) + 1
    list[i] = x
  end
  table.sort(list)
  local s = 0
  for i = 1, #list, 7 do s = (s * 31 + list[i]) % 1000003 end
  local acc = {}
  for k, v in pairs(count) do acc[#acc + 1] = k .. v end
  table.sort(acc)
  local text = table.concat(acc, ",")
  for w in text:gmatch("%d+") do s = (s + #w) % 1000003 end
  local adders = {}
  for i = 1, 100 do adders[i] = function(y) return y + i end end
  for i = 1, 100000 do s = adders[i % 100 + 1](s) % 1000003 end
  local m = 0.0
  for i = 1, 100000 do m = m + 1.0 / (i * i) end
  total = (total + s + fib(20) + math.floor(m * 1e6)) % 1000003
end
print(string.format("%d", total))
`

const awkWork = `{
	for (i = 1; i <= NF; i++) {
		w = tolower($i)
		sub(/[.,]$/, "", w)
		n[w]++
		c += length(w)
	}
}
END {
	for (w in n) { words++; sq += n[w] * n[w] % 9973 }
	printf "%d %d %d %d\n", NR, c, words, sq
}
`

const bashWork = `declare -A count
s=0
for ((i = 0; i < $1; i++)); do
	((x = (x * 1103515245 + 12345) & 0x7fffffff))
	k="k$((x % 97))"
	((count[$k]++))
	list+=($((x % 1000)))
	[[ $k == k*[13579] ]] && ((s += ${#k}))
	t="${k/k/word-}"
	s=$((s + ${#t}))
done
for k in "${!count[@]}"; do ((s += count[$k] * ${#k})); done
echo "$s ${#list[@]}"
`

const sqlWork = `PRAGMA journal_mode=OFF;
CREATE TABLE t(id INTEGER PRIMARY KEY, k INTEGER, name TEXT, v REAL);
WITH RECURSIVE c(i, x) AS (SELECT 1, 12345 UNION ALL SELECT i+1, (x*1103515245+12345) & 2147483647 FROM c WHERE i < 40000)
INSERT INTO t SELECT i, x % 2003, 'name' || (x % 9973), x / 1000.0 FROM c;
CREATE INDEX tk ON t(k);
SELECT count(*), sum(k), round(sum(v)) FROM t;
SELECT count(*), sum(a.id + b.id) FROM t a JOIN t b ON a.k = b.k WHERE a.id < 4000;
SELECT name, count(*) FROM t GROUP BY name ORDER BY 2 DESC, 1 LIMIT 5;
SELECT count(*) FROM t WHERE name LIKE '%77%' AND v > 500;
UPDATE t SET v = v * 1.5 WHERE k % 3 = 0;
DELETE FROM t WHERE k % 7 = 0;
SELECT count(*), round(avg(v)), max(name) FROM t;
`

const nodeWork = `let total = 0;
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
class P { constructor(x, y) { this.x = x; this.y = y; } dot(o) { return this.x * o.x + this.y * o.y; } }
for (let turn = 1; turn <= +process.argv[2]; turn++) {
  let x = turn, m = new Map(), list = [];
  for (let i = 0; i < 20000; i++) {
    x = (x * 16807) % 2147483647;
    const k = "k" + (x % 997);
    m.set(k, (m.get(k) || 0) + 1);
    list.push(new P(x % 1000, i % 100));
  }
  list.sort((a, b) => a.x - b.x || a.y - b.y);
  let s = 0;
  for (let i = 1; i < list.length; i++) s = (s + list[i].dot(list[i - 1])) % 1000003;
  const text = [...m].map(([k, v]) => k + v).sort().join(",");
  total = (total + s + fib(20) + text.replace(/\d+/g, d => d.length).length + JSON.parse(JSON.stringify({ a: [...m.values()] })).a.length) % 1000003;
}
console.log(total);
`

// cWork is a C file that needs no headers: functions of loops, switches,
// floating point and structures.
func cWork() []byte {
	var b bytes.Buffer
	b.WriteString("struct node { struct node *next; int key; double val; unsigned long tab[8]; };\nextern void use(void *);\n")
	for i := range 15 {
		fmt.Fprintf(&b, `
static unsigned long hash%[1]d(const unsigned char *p, unsigned n)
{
	unsigned long h = %[2]d;
	for (unsigned i = 0; i < n; i++) {
		h ^= p[i] + (h << %[3]d);
		if (h & %[4]d)
			h += h >> 7;
	}
	return h;
}
int step%[1]d(struct node *n, int op, const unsigned char *p)
{
	int r = 0;
	for (; n; n = n->next) {
		switch ((op + n->key) %% %[5]d) {
		case 0: r += n->key * %[2]d; break;
		case 1: n->val = n->val * 1.%[1]d + r; break;
		case 2: n->tab[r & 7] ^= hash%[1]d(p, r & 63); break;
		case 3: r ^= n->tab[n->key & 7] %% 1009; break;
		case 4: { double s = 0; for (int i = 0; i < 8; i++) s += n->tab[i] * n->val; r += (int)s; break; }
		case 5: for (int i = 0; i < 8; i++) n->tab[i] = n->tab[(i + %[3]d) & 7] + i; break;
		default: use(n); r--;
		}
	}
	return r;
}
`, i, 1000+i*37, i%5+3, 1<<(i%11), i%3+6)
	}
	return b.Bytes()
}
