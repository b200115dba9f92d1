# Completion of `manage.py prodserver` and `prodctl` for zsh. To be sourced at the end of ~/.zshrc.
# It knows neither options nor names: it asks the command itself.

(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }

# What completed these commands before.
typeset -gA _prodserver_before

_prodserver() {
    # Where the command is, whose words follow.
    local -i at=0 i
    if [[ ${words[1]:t} == prodctl ]]; then
        at=1
    fi
    for (( i = 2; i < CURRENT && ! at; i++ )); do
        if [[ $words[i] == (prodserver|prodctl) && $words[i-1] == (*.py|django|*django-admin) ]]; then
            at=$i
        fi
    done
    if (( ! at )); then
        local before=${_prodserver_before[${words[1]:t}]}
        if [[ -n $before ]]; then
            eval "$before"  # As _dispatch does: it may have arguments.
        else
            _default
        fi
        return
    fi

    local answer
    local -a asked=("${(@Q)words[1,at]}") typed=("${(@Q)words[at+1,CURRENT]}")
    asked[1]=${asked[1]/#\~\//$HOME/}
    if ! answer=$("${asked[@]}" --complete "${typed[@]}" </dev/null 2>/dev/null); then
        _default
        return
    fi
    local line
    local -a found unfinished
    for line in "${(@f)answer}"; do
        case $line in
            $'\t'*=) unfinished+=("${line#$'\t'}") ;;
            $'\t'*) found+=("${line#$'\t'}") ;;
        esac
    done
    compadd -- "${found[@]}"
    compadd -S '' -- "${unfinished[@]}"
    (( $#found + $#unfinished ))
}

() {
    setopt localoptions extendedglob # The patterns are written in it.
    local name
    local -a before
    for name in prodctl manage.py django-admin python python3 python3.{9..19}; do
        [[ ${_comps[$name]} == _prodserver ]] && continue
        before=(${_comps[$name]} ${(v)_patcomps[(K)$name]} ${(v)_postpatcomps[(K)$name]})
        _prodserver_before[$name]=${before[1]}
        compdef _prodserver $name
    done
}
