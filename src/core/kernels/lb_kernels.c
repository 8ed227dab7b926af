/*
 * lb_kernels.c
 *		The list of kernel sets, and the choice among them.
 */
#include "core/kernels/lb_kernels.h"

#include <stdatomic.h>
#include <string.h>

extern const LbKernels lb_kernels_portable;
extern const LbKernels lb_kernels_blas;

#if defined(__x86_64__)
extern const LbKernels lb_kernels_avx2;
extern const LbKernels lb_kernels_avx512;
extern const LbKernels lb_kernels_vnni;
#elif defined(__aarch64__)
extern const LbKernels lb_kernels_neon;
extern const LbKernels lb_kernels_dotprod;
#endif

const LbKernels *const lb_kernel_sets[] = {
#if defined(__x86_64__)
	&lb_kernels_vnni,
	&lb_kernels_avx512,
	&lb_kernels_avx2,
#elif defined(__aarch64__)
	&lb_kernels_dotprod,
	&lb_kernels_neon,
#endif
	&lb_kernels_blas,
	&lb_kernels_portable,
	NULL
};

/* NULL until the first call; concurrent first calls choose the same set. */
static _Atomic(const LbKernels *) in_use;

static const LbKernels *
best(void)
{
	int			i = 0;

	while (!lb_kernel_sets[i]->usable())
		i++;
	return lb_kernel_sets[i];
}

const LbKernels *
lb_kernels(void)
{
	const LbKernels *set = atomic_load_explicit(&in_use,
												memory_order_relaxed);

	if (set == NULL)
	{
		set = best();
		atomic_store(&in_use, set);
	}
	return set;
}

void
lb_kernels_use(const LbKernels *set)
{
	atomic_store(&in_use, set != NULL ? set : best());
}

const LbKernels *
lb_kernels_named(const char *name)
{
	for (int i = 0; lb_kernel_sets[i] != NULL; i++)
		if (strcmp(lb_kernel_sets[i]->name, name) == 0)
			return lb_kernel_sets[i];
	return NULL;
}
