// The benchmark's expressions as loops over columns and bitmaps in C. The program reads columns from a file and times
// itself as it is told on its input; see cprogram.go, which speaks with it.
//
// Each expression is written in up to three ways that differ in how comparisons become a bitmap:
//   shift  bit by bit, in the plainest C, left to the compiler to make something of
//   bytes  a byte a lane first, which compilers turn into vector instructions, then eight bytes to eight bits
//   simd   with the processor's vector instructions named, where this file knows them
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORD = 64, PARAMS = 8 };

struct block {
	size_t words;
	const double *a, *b;
	const uint64_t *valid_a, *valid_b;
	const double *params;
	double *v;
	uint64_t *ok;
};

typedef void loop(const struct block *);

// What a loop works on, in variables of its own.
#define COLUMNS                                                        \
	const double *restrict a = k->a, *restrict b = k->b;               \
	const uint64_t *restrict va = k->valid_a, *restrict vb = k->valid_b; \
	double *restrict v = k->v;                                         \
	uint64_t *restrict ok = k->ok;                                     \
	const size_t words = k->words;                                     \
	(void)a, (void)b, (void)va, (void)vb, (void)v

// pack_bytes makes a word of 64 bytes that are 0 or 1. The product brings the lowest bits of eight bytes to the top byte.
static inline uint64_t pack_bytes(const uint8_t *flags) {
	uint64_t m = 0;
	for (int i = 0; i < WORD; i += 8) {
		uint64_t eight;
		memcpy(&eight, flags + i, 8);
		m |= (eight * UINT64_C(0x0102040810204080) >> 56) << i;
	}
	return m;
}

// v > c

static void above_shift(const struct block *k) {
	COLUMNS;
	const double c = k->params[0];
	for (size_t w = 0; w < words; w++) {
		uint64_t m = 0;
		for (int i = 0; i < WORD; i++)
			m |= (uint64_t)(a[w * WORD + i] > c) << i;
		ok[w] = m & va[w];
	}
}

static void above_bytes(const struct block *k) {
	COLUMNS;
	const double c = k->params[0];
	for (size_t w = 0; w < words; w++) {
		uint8_t flags[WORD];
		for (int i = 0; i < WORD; i++)
			flags[i] = a[w * WORD + i] > c;
		ok[w] = pack_bytes(flags) & va[w];
	}
}

// (1 - a/b)*100 > c

static void used_shift(const struct block *k) {
	COLUMNS;
	const double one = k->params[0], scale = k->params[1], c = k->params[2];
	for (size_t w = 0; w < words; w++) {
		uint64_t m = 0;
		for (int i = 0; i < WORD; i++) {
			double x = (one - a[w * WORD + i] / b[w * WORD + i]) * scale;
			v[w * WORD + i] = x;
			m |= (uint64_t)(x > c) << i;
		}
		ok[w] = m & va[w] & vb[w];
	}
}

static void used_bytes(const struct block *k) {
	COLUMNS;
	const double one = k->params[0], scale = k->params[1], c = k->params[2];
	for (size_t w = 0; w < words; w++) {
		uint8_t flags[WORD];
		for (int i = 0; i < WORD; i++) {
			double x = (one - a[w * WORD + i] / b[w * WORD + i]) * scale;
			v[w * WORD + i] = x;
			flags[i] = x > c;
		}
		ok[w] = pack_bytes(flags) & va[w] & vb[w];
	}
}

// (a > c1 and b < c2) or (a/b*k1 - k2 >= c3)

static void either_shift(const struct block *k) {
	COLUMNS;
	const double c1 = k->params[0], c2 = k->params[1], k1 = k->params[2], k2 = k->params[3], c3 = k->params[4];
	for (size_t w = 0; w < words; w++) {
		uint64_t m = 0;
		for (int i = 0; i < WORD; i++) {
			double x = a[w * WORD + i], y = b[w * WORD + i];
			m |= (uint64_t)(((x > c1) & (y < c2)) | (x / y * k1 - k2 >= c3)) << i;
		}
		ok[w] = m & va[w] & vb[w];
	}
}

static void either_bytes(const struct block *k) {
	COLUMNS;
	const double c1 = k->params[0], c2 = k->params[1], k1 = k->params[2], k2 = k->params[3], c3 = k->params[4];
	for (size_t w = 0; w < words; w++) {
		uint8_t flags[WORD];
		for (int i = 0; i < WORD; i++) {
			double x = a[w * WORD + i], y = b[w * WORD + i];
			flags[i] = ((x > c1) & (y < c2)) | (x / y * k1 - k2 >= c3);
		}
		ok[w] = pack_bytes(flags) & va[w] & vb[w];
	}
}

// A few names for what AVX-512 and AVX have in common: vectors, and truths, which either keeps in another way.
#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>
#define SIMD "avx512"
enum { LANES = 8 };
typedef __m512d vector;
typedef __mmask8 truth;
#define LOAD(p) _mm512_loadu_pd(p)
#define STORE(p, x) _mm512_storeu_pd(p, x)
#define ALL(x) _mm512_set1_pd(x)
#define SUB(x, y) _mm512_sub_pd(x, y)
#define MUL(x, y) _mm512_mul_pd(x, y)
#define DIV(x, y) _mm512_div_pd(x, y)
#define GREATER(x, y) _mm512_cmp_pd_mask(x, y, _CMP_GT_OQ)
#define LESS(x, y) _mm512_cmp_pd_mask(x, y, _CMP_LT_OQ)
#define NOT_LESS(x, y) _mm512_cmp_pd_mask(x, y, _CMP_GE_OQ)
#define BOTH(s, t) ((truth)((s) & (t)))
#define EITHER(s, t) ((truth)((s) | (t)))
#define BITS(t) ((uint64_t)(uint8_t)(t))
#elif defined(__AVX__)
#include <immintrin.h>
#define SIMD "avx"
enum { LANES = 4 };
typedef __m256d vector;
typedef __m256d truth;
#define LOAD(p) _mm256_loadu_pd(p)
#define STORE(p, x) _mm256_storeu_pd(p, x)
#define ALL(x) _mm256_set1_pd(x)
#define SUB(x, y) _mm256_sub_pd(x, y)
#define MUL(x, y) _mm256_mul_pd(x, y)
#define DIV(x, y) _mm256_div_pd(x, y)
#define GREATER(x, y) _mm256_cmp_pd(x, y, _CMP_GT_OQ)
#define LESS(x, y) _mm256_cmp_pd(x, y, _CMP_LT_OQ)
#define NOT_LESS(x, y) _mm256_cmp_pd(x, y, _CMP_GE_OQ)
#define BOTH(s, t) _mm256_and_pd(s, t)
#define EITHER(s, t) _mm256_or_pd(s, t)
#define BITS(t) ((uint64_t)(unsigned)_mm256_movemask_pd(t))
#endif

#ifdef SIMD

static void above_simd(const struct block *k) {
	COLUMNS;
	const vector c = ALL(k->params[0]);
	for (size_t w = 0; w < words; w++) {
		uint64_t m = 0;
		for (int i = 0; i < WORD; i += LANES)
			m |= BITS(GREATER(LOAD(a + w * WORD + i), c)) << i;
		ok[w] = m & va[w];
	}
}

static void used_simd(const struct block *k) {
	COLUMNS;
	const vector one = ALL(k->params[0]), scale = ALL(k->params[1]), c = ALL(k->params[2]);
	for (size_t w = 0; w < words; w++) {
		uint64_t m = 0;
		for (int i = 0; i < WORD; i += LANES) {
			vector x = MUL(SUB(one, DIV(LOAD(a + w * WORD + i), LOAD(b + w * WORD + i))), scale);
			STORE(v + w * WORD + i, x);
			m |= BITS(GREATER(x, c)) << i;
		}
		ok[w] = m & va[w] & vb[w];
	}
}

static void either_simd(const struct block *k) {
	COLUMNS;
	const vector c1 = ALL(k->params[0]), c2 = ALL(k->params[1]), k1 = ALL(k->params[2]);
	const vector k2 = ALL(k->params[3]), c3 = ALL(k->params[4]);
	for (size_t w = 0; w < words; w++) {
		uint64_t m = 0;
		for (int i = 0; i < WORD; i += LANES) {
			vector x = LOAD(a + w * WORD + i), y = LOAD(b + w * WORD + i);
			truth high = BOTH(GREATER(x, c1), LESS(y, c2));
			m |= BITS(EITHER(high, NOT_LESS(SUB(MUL(DIV(x, y), k1), k2), c3))) << i;
		}
		ok[w] = m & va[w] & vb[w];
	}
}

#else
#define SIMD ""
#define above_simd NULL
#define used_simd NULL
#define either_simd NULL
#endif

// Volatile: what is called is not known when this is compiled.
static loop *volatile const loops[3][3] = {
	{above_shift, above_bytes, above_simd},
	{used_shift, used_bytes, used_simd},
	{either_shift, either_bytes, either_simd},
};

// now is the processor time of this thread in nanoseconds.
static int64_t now(void) {
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what) {
	perror(what);
	exit(1);
}

// column returns memory for so many 8-byte words, filled from f if there is one.
static void *column(FILE *f, size_t n) {
	const size_t page = 8192;
	void *p = aligned_alloc(page, (n * 8 + page - 1) / page * page);
	if (!p)
		die("memory");
	memset(p, 0, n * 8);
	if (f && fread(p, 8, n, f) != n)
		die("columns");
	return p;
}

static void save(const char *path, const struct block *k) {
	FILE *f = fopen(path, "wb");
	if (!f || fwrite(k->v, 8, k->words * WORD, f) != k->words * WORD || fwrite(k->ok, 8, k->words, f) != k->words || fclose(f))
		die(path);
}

// loops COLUMNS RESULT LANES: COLUMNS holds the columns a and b, their bitmaps, and PARAMS parameters for each expression.
// A line of input is an expression, a way of writing it, lanes and how often to run it. It is answered with a line of
// JSON; the results of a loop that is to run 0 times are written to RESULT.
int main(int argc, char **argv) {
	if (argc != 4)
		return 2;
	const size_t lanes = strtoul(argv[3], NULL, 10), words = lanes / WORD;
	FILE *f = fopen(argv[1], "rb");
	if (!f)
		die(argv[1]);
	struct block k = {.a = column(f, lanes), .b = column(f, lanes), .valid_a = column(f, words), .valid_b = column(f, words)};
	const double *params = column(f, 3 * PARAMS);
	k.v = column(NULL, lanes);
	k.ok = column(NULL, words);
	fclose(f);

	unsigned expression, way;
	size_t n, times;
	while (scanf("%u %u %zu %zu", &expression, &way, &n, &times) == 4) {
		loop *run = expression < 3 && way < 3 && n <= lanes ? loops[expression][way] : NULL;
		double ns = 0;
		if (run) {
			k.words = n / WORD;
			k.params = params + expression * PARAMS;
			run(&k);
			if (times == 0)
				save(argv[2], &k);
			int64_t begin = now();
			for (size_t i = 0; i < times; i++)
				run(&k);
			if (times > 0)
				ns = (double)(now() - begin) / ((double)times * (double)n);
		}
		printf("{\"known\":%s,\"simd\":\"%s\",\"ns_per_lane\":%.6f}\n", run ? "true" : "false", SIMD, ns);
		fflush(stdout);
	}
	return 0;
}
