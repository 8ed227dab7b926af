/*
 * cpu.c
 *		Which kernels run: the setting lbrec.cpu.
 *
 * The sets are those of core/kernels/lb_kernels.c; a new one needs nothing
 * here.
 */
#include "postgres.h"

#include "pg/server/cpu.h"

#include "utils/guc.h"

#include "core/kernels/lb_kernels.h"

#define MAX_SETS 16

/* Value 0 is "auto"; n is the n-th of lb_kernel_sets, counted from 1. */
static struct config_enum_entry values[MAX_SETS + 2];
static int	chosen = 0;

static bool
check_cpu(int *value, void **extra, GucSource source)
{
	const LbKernels *set = *value > 0 ? lb_kernel_sets[*value - 1] : NULL;

	if (set == NULL || set->usable())
		return true;
	GUC_check_errdetail("This machine cannot run the kernels \"%s\".",
						set->name);
	return false;
}

static void
assign_cpu(int value, void *extra)
{
	lb_kernels_use(value > 0 ? lb_kernel_sets[value - 1] : NULL);
}

void
lbrec_define_cpu(void)
{
	int			n = 0;

	values[n++] = (struct config_enum_entry)
	{
		"auto", 0, false
	};
	for (int i = 0; lb_kernel_sets[i] != NULL && i < MAX_SETS; i++)
		values[n++] = (struct config_enum_entry)
	{
		lb_kernel_sets[i]->name, i + 1, false
	};
	DefineCustomEnumVariable("lbrec.cpu",
							 "The set of kernels that computes: one of an instruction set.",
							 "auto uses the best that this machine can run.",
							 &chosen,
							 0, values,
							 PGC_SUSET, 0,
							 check_cpu, assign_cpu, NULL);
}
