# Completion of lbrec-convert for bash.
_lbrec_convert()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}

	case $prev in
		--table)
			COMPREPLY=($(compgen -W "listen recording" -- "$cur")); return;;
		--summary)
			COMPREPLY=($(compgen -W "text json none" -- "$cur")); return;;
		-d|--dbname)
			COMPREPLY=($(compgen -W "$(psql -XAtqw -c \
				'SELECT datname FROM pg_database WHERE datallowconn' \
				postgres 2>/dev/null)" -- "$cur")); return;;
		--user-id)
			return;;
		--trust)
			COMPREPLY=($(compgen -W "listen recording lbrec_dump
				lbrec_dump_member" -- "$cur")); return;;
	esac
	if [[ $cur == -* ]]; then
		COMPREPLY=($(compgen -W "--dbname --replace --by-month --table --ddl
			--user-id --user-names --skip-early --rejects --summary --force --reload
			--trust --quiet --help --version" -- "$cur"))
	else
		COMPREPLY=($(compgen -f -- "$cur"))
	fi
}
complete -o filenames -F _lbrec_convert lbrec-convert
