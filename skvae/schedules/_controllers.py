"""draft"""
import math, os
from skvae.schedules._weights import Weight

C0=float(os.environ.get("C0","8")); N0=float(os.environ.get("N0","100")); KP=float(os.environ.get("KP","2")); TOL=float(os.environ.get("TOL",".02"))
LARGEST=8.0
def clip(x,m): return min(m,max(-m,x))

class _C(Weight):
    watches="steps"
    def start(self): return (0.0,0.0,0,0)
    def value(self,state,progress):
        return math.exp(clip(state[0]+KP*state[1],LARGEST))
    def update(self,state,means):
        integral,mean,n,held=state
        e=clip(self.error(state,means),1.0)
        n+=1
        mean+=(e-mean)/min(n,1+N0/4+n/100) if False else (e-mean)/min(n,10+n/50)
        integral=clip(integral+C0/(n+N0)*e,LARGEST)
        held=held+1 if abs(mean)<=TOL else 0
        return (integral,mean,n,held)
    def accepts(self,state):
        return state[3]>=max(1,state[2]/8)

class ControlVAE(_C):
    def __init__(self,target,term="kl"):
        self.target=target; self.term=term
    def error(self,state,means):
        return means[self.term]/self.target-1
class GECO(_C):
    def __init__(self,target,term="reconstruction",against="kl"):
        self.target=target; self.term=term; self.against=against
    def error(self,state,means):
        return -(means[self.term]-self.target)/(self.value(state,0)*means[self.against]+1e-9)
class StallDecay(Weight): pass
