/* Runs the functions of work.c (hotblock/bench/suite) on a list of nodes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node { struct node *next; int key; double val; unsigned long tab[8]; };

#define STEPS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define DECLARE(i) int step##i(struct node *, int, const unsigned char *);
#define NAME(i) step##i,
STEPS(DECLARE)
static int (*const steps[])(struct node *, int, const unsigned char *) = { STEPS(NAME) };

static unsigned long used;

void use(void *p) { used = used * 31 + ((struct node *)p)->key; }

int main(void)
{
	unsigned char bytes[64];
	unsigned x = 1;
	for (int i = 0; i < 64; i++)
		bytes[i] = x = x * 69069 + 1;
	for (int round = 0; round < 40; round++) {
		struct node *list = NULL;
		for (int i = 0; i < 200; i++) {
			struct node *n = malloc(sizeof *n);
			memset(n, 0, sizeof *n);
			n->next = list;
			n->key = (x = x * 69069 + 1) >> 12;
			n->val = n->key / 3.0;
			list = n;
		}
		for (int i = 0; i < 15; i++)
			for (int op = 0; op < 9; op++)
				printf("%d ", steps[i](list, op, bytes));
		double sum = 0;
		unsigned long tabs = 0;
		while (list) {
			struct node *n = list;
			list = n->next;
			sum += n->val * 1e-3;
			for (int i = 0; i < 8; i++)
				tabs = tabs * 1000003 + n->tab[i];
			free(n);
		}
		printf("%.17g %lx %lx\n", sum, tabs, used);
	}
	return 0;
}
