# table.awk
#		Figures of run.sh as ratios, beside what is aimed at.
#
# Input: shape, what, layers, threads, wall, processor; tab-separated.

function key(shape, what, layers, threads) { return shape FS what FS layers FS threads }

function fmt(x) { return x > 0 ? sprintf("%8.2f", x) : "       -" }

# ratio A B: of two keys, wall and processor
function ratio(name, a, b, aim) {
	if (!(a in wall) || !(b in wall))
		return
	printf "%-66s %s %s   %s\n", name, fmt(wall[a] / wall[b]), fmt(cpu[a] / cpu[b]), aim
}

{
	k = key($1, $2, $3, $4)
	wall[k] = $5
	cpu[k] = $6
	if (!(($1 FS $3 FS $4) in seen)) {
		seen[$1 FS $3 FS $4] = 1
		set[++n] = $1 FS $3 FS $4
	}
}

END {
	# seconds of an epoch that throw-away C took with AVX-512 on a quiet
	# machine of the class that this was designed on; elsewhere, no aim
	designed["32"] = .155; designed["64,32"] = .137; designed["128,64,32"] = .185
	printf "%-66s %8s %8s   %s\n", "ratio", "wall", "CPU", "aim"
	for (i = 1; i <= n; i++) {
		split(set[i], f, FS)
		shape = f[1]; layers = f[2]; threads = f[3]
		if (layers == "-")
			continue
		of = sprintf("%s, layers %s, %d thread%s: ", shape, layers, threads, threads > 1 ? "s" : "")
		steps = key(shape, "lbrec, steps of an epoch", layers, threads)
		hand = shape == "paper" ? "2.5 or more" : "3 or more"
		ratio(of "PyTorch by hand / lbrec", key(shape, "PyTorch, hand", layers, threads), steps, hand)
		ratio(of "PyTorch autograd / lbrec", key(shape, "PyTorch, autograd", layers, threads), steps, "")
		ratio(of "TFRS / lbrec, an epoch", key(shape, "TFRS, epoch", layers, threads), steps, "10 or more")
		ratio(of "TFRS with cached batches / lbrec", key(shape, "TFRS, epoch, batches cached", layers, threads), steps, "")
		one = key(shape, "lbrec, SQL call of 1 epoch", layers, threads)
		many = key(shape, "lbrec, SQL call of 30 epochs", layers, threads)
		epoch = key(shape, "TFRS, epoch", layers, threads)
		three = key(shape, "lbrec, SQL call of 3 epochs", layers, threads)
		if ((one in wall) && (three in wall)) {
			sql_epoch = key(shape, "epoch in SQL", layers, threads)
			wall[sql_epoch] = (wall[three] - wall[one]) / 2
			cpu[sql_epoch] = (cpu[three] - cpu[one]) / 2
			ratio(of "an epoch in SQL / its steps alone", sql_epoch, steps, "1")
		}
		evaluation = ""
		for (t = 1; t <= 2; t++)
			for (j = 1; j <= n; j++) {
				split(set[j], g, FS)
				e = key(shape, "TFRS, evaluation", g[2], t)
				if (e in wall)
					evaluation = e
			}
		if (evaluation != "" && (many in wall) && (epoch in wall)) {
			form = key(shape, "notebook", layers, threads)
			wall[form] = 30 * wall[epoch] + 6 * wall[evaluation]
			cpu[form] = 30 * cpu[epoch] + 6 * cpu[evaluation]
			ratio(of "TFRS as in the notebook / the SQL call", form, many, "300 or more")
		}
		if (layers in designed && shape == "paper" && threads == 1) {
			d = key(shape, "designed", layers, 1)
			wall[d] = cpu[d] = designed[layers]
			ratio(of "lbrec / the design's figure", steps, d, "1.25 or less")
		}
	}
	d = key("paper", "designed", "-", 1)
	wall[d] = cpu[d] = 2.0
	ratio("paper, 1 thread: an evaluation / the design's figure (2.0 s)", key("paper", "lbrec, one evaluation", "-", 1), d, "1.5 or less")
	print ""
	print "TFRS as in the notebook: 30 epochs and 6 evaluations, the evaluation measured once on a part and multiplied."
}
