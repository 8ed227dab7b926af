/*
 * lb_cpu.c
 *		Asks the CPU, and for AMX the operating system, what kernels may run.
 *
 * AMX needs three things: the CPUID bits, the tile state enabled in XCR0, and
 * (Linux 5.16) a permission that a process asks for once, because the state is
 * 8 kB a thread.  Permission is asked for only when the first two hold and
 * only in the process that is about to use it.  It is inherited by threads.
 *
 * The answer is kept in a static; two threads that ask at once find the same.
 */
#include "core/lb_cpu.h"

#include <stdatomic.h>
#include <string.h>

#if defined(__x86_64__)
#define LB_X86 1
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

static _Atomic int detected = -1;

/*
 * AMX only on request.  Its softmax multiplies floats as three products of
 * bf16, off by some 2^-16 where the other kernels are off by 2^-24, and deep
 * towers amplify the difference; and it has been tested on emulated tiles, not
 * yet on the hardware.
 */
static _Atomic int limit = LB_CPU_AVX512;

#ifdef LB_X86

#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18

/* CPUID and XCR0 say that tiles with bf16 exist, and Linux lets us use them */
static bool
amx_permitted(void)
{
#if defined(__linux__)
	unsigned	eax,
				ebx,
				ecx,
				edx;
	unsigned	xcr0_low,
				xcr0_high;

	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
		return false;
	/* bit 24: AMX-TILE, bit 22: AMX-BF16 */
	if ((edx & (1u << 24)) == 0 || (edx & (1u << 22)) == 0)
		return false;
	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & (1u << 27)) == 0)
		return false;
	__asm__ volatile ("xgetbv":"=a" (xcr0_low), "=d"(xcr0_high):"c"(0));

	(void) xcr0_high;
	if ((xcr0_low & (3u << 17)) != (3u << 17))
		return false;
	return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM,
				   XFEATURE_XTILEDATA) == 0;
#else
	return false;
#endif
}

#endif							/* LB_X86 */

static LbCpuLevel
detect(void)
{
#ifdef LB_X86
	/* these look at XCR0 too, so an old kernel's missing support shows */
	__builtin_cpu_init();
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
		return LB_CPU_PORTABLE;
	if (!__builtin_cpu_supports("avx512f") ||
		!__builtin_cpu_supports("avx512bw") ||
		!__builtin_cpu_supports("avx512dq") ||
		!__builtin_cpu_supports("avx512vl"))
		return LB_CPU_AVX2;
	if (!amx_permitted())
		return LB_CPU_AVX512;
	return LB_CPU_AMX;
#else
	return LB_CPU_PORTABLE;
#endif
}

LbCpuLevel
lb_cpu_level(void)
{
	int			level = atomic_load(&detected);
	int			most = atomic_load(&limit);

	if (level < 0)
	{
		level = (int) detect();
		atomic_store(&detected, level);
	}
	return (LbCpuLevel) (level < most ? level : most);
}

bool
lb_cpu_vnni(void)
{
#ifdef LB_X86
	return lb_cpu_level() >= LB_CPU_AVX512 &&
		__builtin_cpu_supports("avx512vnni");
#else
	return false;
#endif
}

void
lb_cpu_limit(LbCpuLevel level)
{
	atomic_store(&limit, (int) level);
}

static const char *const level_names[] = {"portable", "avx2", "avx512", "amx"};

const char *
lb_cpu_name(LbCpuLevel level)
{
	return level_names[level];
}

bool
lb_cpu_parse(LbCpuLevel *level, const char *name)
{
	for (int i = LB_CPU_PORTABLE; i <= LB_CPU_AMX; i++)
	{
		if (strcmp(name, level_names[i]) == 0)
		{
			*level = (LbCpuLevel) i;
			return true;
		}
	}
	return false;
}
