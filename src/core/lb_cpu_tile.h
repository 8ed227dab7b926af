/*
 * lb_cpu_tile.h
 *		The four AMX operations that kernels use, or an emulation of them.
 *
 * Eight tiles of 16 rows of 64 bytes.  tile_dp(c, a, b) is TDPBF16PS: c, 16 x
 * 16 floats, gets a (16 rows of 32 bf16) times b (16 rows, each of 16 pairs:
 * row k holds elements 2k and 2k + 1 of every column).  Tile numbers are
 * literals, as the instructions want them.
 *
 * With LB_TILE_EMULATED the same source runs on a CPU without AMX: that is how
 * test/unit tests it.
 *
 * GCC's intrinsics are assembler that does not tell the compiler about memory,
 * hence the fences.
 */
#ifndef LB_CPU_TILE_H
#define LB_CPU_TILE_H

#include <stdint.h>
#include <string.h>

#define LB_TILE_ROWS 16
#define LB_TILE_BYTES 64

#ifndef LB_TILE_EMULATED

#include <immintrin.h>

#define tile_fence() __asm__ volatile("" ::: "memory")

typedef struct LbTileConfig
{
	uint8_t		palette;
	uint8_t		start_row;
	uint8_t		reserved[14];
	uint16_t	bytes[16];
	uint8_t		rows[16];
} LbTileConfig;

/*
 * Static, for the intrinsic tells the compiler that it reads eight bytes only,
 * and the stores of a local one could vanish.
 */
static const LbTileConfig tile_config = {
	.palette = 1,
	.bytes = {64, 64, 64, 64, 64, 64, 64, 64},
	.rows = {16, 16, 16, 16, 16, 16, 16, 16},
};

/* before the first tile operation of a function; tile_end() after its last */
#define tile_begin() _tile_loadconfig(&tile_config)
#define tile_end() _tile_release()
#define tile_zero(t) _tile_zero(t)
#define tile_load(t, p, stride) \
	do { \
		tile_fence(); \
		_tile_loadd(t, p, stride); \
	} while (0)
#define tile_store(t, p, stride) \
	do { \
		_tile_stored(t, p, stride); \
		tile_fence(); \
	} while (0)
#define tile_dp(c, a, b) _tile_dpbf16ps(c, a, b)

#else							/* LB_TILE_EMULATED */

static _Thread_local uint32_t tile_state[8][LB_TILE_ROWS][16];

static inline void
tile_begin(void)
{
	memset(tile_state, 0, sizeof(tile_state));
}

static inline void
tile_end(void)
{
	memset(tile_state, 0xff, sizeof(tile_state));	/* NaN: nothing survives */
}

static inline void
tile_zero(int t)
{
	memset(tile_state[t], 0, sizeof(tile_state[t]));
}

static inline void
tile_load(int t, const void *p, size_t stride)
{
	for (int r = 0; r < LB_TILE_ROWS; r++)
		memcpy(tile_state[t][r], (const char *) p + r * stride,
			   LB_TILE_BYTES);
}

static inline void
tile_store(int t, void *p, size_t stride)
{
	for (int r = 0; r < LB_TILE_ROWS; r++)
		memcpy((char *) p + r * stride, tile_state[t][r], LB_TILE_BYTES);
}

static inline float
tile_float(uint32_t bits)
{
	float		x;

	memcpy(&x, &bits, sizeof(x));
	return x;
}

static inline void
tile_dp(int c, int a, int b)
{
	for (int m = 0; m < LB_TILE_ROWS; m++)
	{
		for (int n = 0; n < 16; n++)
		{
			float		sum = tile_float(tile_state[c][m][n]);

			for (int k = 0; k < 16; k++)
			{
				uint32_t	x = tile_state[a][m][k];
				uint32_t	y = tile_state[b][k][n];

				sum += tile_float(x << 16) * tile_float(y << 16);
				sum += tile_float(x & 0xffff0000u) *
					tile_float(y & 0xffff0000u);
			}
			memcpy(&tile_state[c][m][n], &sum, sizeof(sum));
		}
	}
}

#endif							/* LB_TILE_EMULATED */

#endif							/* LB_CPU_TILE_H */
